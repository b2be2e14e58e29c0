// What is done where drawing fails that may succeed otherwise.
#include "jobs/drawer.hpp"

#include <c10/util/Exception.h>

#include <limits>
#include <map>
#include <stdexcept>

#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"
#include "support/pictures.hpp"
#include "support/short_of_memory.hpp"
#include "support/temp_dir.hpp"
#include "weights/component_files.hpp"

using namespace sdtorch;
namespace fs = std::filesystem;

namespace {

/// The tiny model whose U-Net's first convolution is `scale` times its own, beyond fp16 where that is 1e6: the norm
/// behind it makes that nearly undone.
fs::path model_with_scaled_unet(const TempDir& folder, double scale) {
  fs::path model = folder / "model";
  fs::copy(golden_path("pipeline/models/sd1"), model, fs::copy_options::recursive);
  std::map<std::string, at::Tensor> weights;
  for (const auto& [key, weight] : load_component(model / "unet")) weights[key] = weight.tensor.clone();
  weights.at("conv_in.weight").mul_(scale);
  save_safetensors(model / "unet" / "diffusion_pytorch_model.safetensors", weights);
  return model;
}

const Request house{.prompt = "a house", .steps = 1};

ModelChoice choice_of(const fs::path& model, const std::string& dtype) {
  return {.model = model.string(), .device = "cpu", .dtype = dtype};
}

}  // namespace

TEST_CASE("a picture that overflows fp16 is drawn again in fp32, which is said by it", "[jobs]") {
  const TempDir folder;
  const fs::path model = model_with_scaled_unet(folder, 1e6);
  CheckedModels models;
  Drawer drawer(models);
  const ModelChoice half = choice_of(model, "fp16"), whole = choice_of(model, "fp32");
  const DrawnBatch again = drawer.draw(half, {house}, {});
  CHECK(again.choice->dtype == "fp32");
  REQUIRE(again.pictures.size() == 1);
  CHECK(again.pictures[0].notes == std::vector<std::string>{"drawn again in fp32"});
  CHECK(drawer.drawing().model().choice().dtype == "fp32");

  const DrawnBatch expected = drawer.draw(whole, {house}, {});
  CHECK(*expected.choice == models.get(whole).choice());
  CHECK(expected.pictures[0].notes.empty());
  CHECK(largest_difference(again.pictures[0].image, expected.pictures[0].image) == 0);

  const DrawnBatch twice = drawer.draw(half, {house}, {});
  CHECK(twice.choice == again.choice);
  CHECK(largest_difference(twice.pictures[0].image, expected.pictures[0].image) == 0);
  // Which of several it was is found by drawing each alone.
  check_error(ErrorKind::non_finite, "not finite", [&] { drawer.draw(half, {house, house}, {}); });
}

TEST_CASE("a picture that is not finite in fp32 is none", "[jobs]") {
  const TempDir folder;
  const fs::path model = model_with_scaled_unet(folder, std::numeric_limits<double>::quiet_NaN());
  CheckedModels models;
  Drawer drawer(models);
  for (const char* dtype : {"fp16", "bf16", "fp32"}) {
    const ModelChoice choice = choice_of(model, dtype);
    check_error(ErrorKind::non_finite, "not finite", [&] { drawer.draw(choice, {house}, {}); });
  }
}

TEST_CASE("what fails while drawing is an error of ours, and the next picture is drawn all the same", "[jobs]") {
  CheckedModels models;
  Drawer drawer(models);
  const ModelChoice choice = choice_of(golden_path("pipeline/models/sd1"), "fp32");
  const auto failing = [](auto fail) { return Observer{.on_step = [fail](const Step&) { fail(); }}; };
  const Observer ours = failing([] { throw Error(ErrorKind::output, {.reason = "the disk"}); });
  const Observer memory = failing([] { throw std::bad_alloc(); });
  const Observer library = failing([] { TORCH_CHECK(false, "shapes"); });
  const Observer other = failing([] { throw std::runtime_error("who knows"); });
  check_error(ErrorKind::output, "the disk", [&] { drawer.draw(choice, {house}, ours); });
  check_error(ErrorKind::memory, "out of memory", [&] { drawer.draw(choice, {house}, memory); });
  check_error(ErrorKind::bug, "a bug in sdtorch: shapes", [&] { drawer.draw(choice, {house}, library); });
  check_error(ErrorKind::bug, "a bug in sdtorch: who knows", [&] { drawer.draw(choice, {house}, other); });
  const Picture drawn = drawer.draw(choice, {house}, {}).pictures.front();
  CHECK(largest_difference(drawn.image, Pipeline::open(choice).draw(house).image) == 0);
}

TEST_CASE("memory that runs out for several pictures is told as that", "[jobs]") {
  CheckedModels models;
  Drawer drawer(models);
  const ModelChoice choice = choice_of(golden_path("pipeline/models/sd1"), "fp32");
  drawer.open(choice);
  const auto largest = [&](size_t count) {
    const ShortOfMemory all(std::numeric_limits<size_t>::max());
    drawer.draw(choice, std::vector<Request>(count, house), {});
    return all.largest();
  };
  const size_t alone = largest(1), together = largest(96);
  REQUIRE(alone < together);
  const ShortOfMemory memory(alone);
  check_error(ErrorKind::memory, "out of memory", [&] { drawer.draw(choice, std::vector<Request>(96, house), {}); });
  CHECK(drawer.draw(choice, {house}, {}).pictures.size() == 1);
}
