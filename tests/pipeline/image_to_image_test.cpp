// Pictures that start from a picture, against diffusers' image-to-image pipelines (scripts/goldens/image_to_image.py).
#include <filesystem>

#include "support/catch.hpp"
#include "support/drawing.hpp"
#include "support/errors.hpp"
#include "support/families.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/golden_pictures.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;

namespace {

const std::string first_picture = golden_path("image_to_image/first.png").string();
const std::string second_picture = golden_path("image_to_image/second.png").string();

}  // namespace

TEST_CASE("a picture to start from gives what diffusers' image-to-image gives", "[pipeline]") {
  Models models;
  check_golden_pictures(
      "image_to_image",
      [&](const nlohmann::json& one) -> const PipelineNetworks& { return models.get(one.at("model"), ""); },
      {{"init-img", "image_to_image"}});
}

TEST_CASE("a batch of started pictures draws each as it would be alone", "[pipeline]") {
  const Pipeline pipeline =
      Pipeline::open({.model = golden_path("pipeline/models/sd1").string(), .device = "cpu", .dtype = "fp32"});
  std::vector<Request> batch;
  for (const std::string& file : {first_picture, second_picture}) {
    batch.push_back({.prompt = "a house",
                     .steps = 4,
                     .seed = batch.size(),
                     .width = 32,
                     .height = 40,
                     .sampler = "euler_a",
                     .init_img = file,
                     .strength = 0.6,
                     .resize = "crop"});
  }
  REQUIRE(can_share_batch(batch[0], batch[1]));
  const std::vector<Picture> together = pipeline.draw(batch);
  for (size_t i = 0; i < batch.size(); ++i) {
    const Picture alone = pipeline.draw(batch[i]);
    CHECK((together[i].request.inputs == alone.request.inputs));
    REQUIRE(together[i].image.pixels.size() == alone.image.pixels.size());
    int most = 0;
    for (size_t p = 0; p < alone.image.pixels.size(); ++p) {
      most = std::max(most, std::abs(together[i].image.pixels[p] - alone.image.pixels[p]));
    }
    CHECK(most <= 1);
  }
  batch[1].width.reset();
  CHECK_FALSE(can_share_batch(batch[0], batch[1]));
}

TEST_CASE("a request to start from a picture is checked before the weights are read", "[pipeline]") {
  const CheckedModel model = Pipeline::check({.model = golden_path("pipeline/models/sd1").string(), .device = "cpu"});
  const auto refused = [&](const Request& request, ErrorKind kind, const std::string& message) {
    check_error(kind, message, [&] { static_cast<void>(model.check(request)); });
  };
  const Request good{.prompt = "a", .init_img = first_picture};
  const CheckedRequest checked = model.check(good);
  CHECK(checked.request.width == 64);
  CHECK(checked.request.height == 40);
  REQUIRE(checked.warnings.size() == 1);
  CHECK_THAT(checked.warnings[0], Catch::Contains("70 by 45 pixels are drawn as 64 by 40, multiples of 8"));
  REQUIRE(checked.request.inputs.size() == 1);
  CHECK(checked.request.inputs[0].sha256.size() == 64);

  Request request{.prompt = "a", .strength = 0.5};
  refused(request, ErrorKind::usage, "--strength: there is no picture to start from");
  for (const double strength : {1.2, -0.1}) {
    request = good;
    request.strength = strength;
    refused(request, ErrorKind::usage, "--strength: must be 0…1");
  }
  request = good;
  request.strength = 0.01;
  refused(request, ErrorKind::usage, "--strength: 0.01 of 20 steps is none; take 0.05 or more");
  request = good;
  request.steps = 7, request.strength = 0.1;
  refused(request, ErrorKind::usage, "take 0.2 or more");
  request = good;
  request.sampler = "restart";
  refused(request, ErrorKind::usage, "--sampler: restart");
  request = good;
  request.init_img = "no-such.png";
  refused(request, ErrorKind::input, "no-such.png");
  request = good;
  request.max_pixels = 70 * 45 - 1;
  refused(request, ErrorKind::input, "first.png");
  request = good;
  request.inputs = {{.path = first_picture, .sha256 = std::string(64, '0')}};
  refused(request, ErrorKind::input, "first.png: is not the file that it was");
  request.init_img = second_picture;
  CHECK_NOTHROW(model.check(request));
  const TempDir folder;
  write_file(folder / "text.png", "no picture");
  request = good;
  request.init_img = (folder / "text.png").string();
  refused(request, ErrorKind::input, "text.png");
}
