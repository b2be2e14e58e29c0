// Pictures of which a part is repainted, against diffusers' inpainting pipelines (scripts/goldens/inpainting.py).
#include <algorithm>
#include <nlohmann/json.hpp>

#include "io/read_picture.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/families.hpp"
#include "support/golden.hpp"
#include "support/golden_pictures.hpp"
#include "support/pictures.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;

namespace {

std::string inpainting_file(const std::string& name) { return golden_path("inpainting/" + name).string(); }

Request repaint(const std::string& mask = "mask.png") {
  return {.prompt = "a house", .steps = 4, .init_img = inpainting_file("start.png"), .mask = inpainting_file(mask)};
}

}  // namespace

TEST_CASE("a mask's white is repainted as diffusers' inpainting does", "[pipeline]") {
  WiderModels models("inpainting");
  check_golden_pictures(
      "inpainting", [&](const nlohmann::json& one) -> const PipelineNetworks& { return models.get(one.at("model")); },
      {{"init-img", "inpainting"}, {"mask", "inpainting"}});
}

TEST_CASE("what is not repainted keeps the picture's own bytes", "[pipeline]") {
  const Pipeline pipeline =
      Pipeline::open({.model = golden_path("pipeline/models/sd1").string(), .device = "cpu", .dtype = "fp32"});
  Request request = repaint();
  request.keep_unmasked = true;
  const Image own = read_picture(inpainting_file("start.png")).image;
  const Image mask = read_picture(inpainting_file("mask.png")).image;
  const Image drawn = pipeline.draw(request).image;
  REQUIRE(drawn.pixels.size() == own.pixels.size());
  bool kept = true, changed = false;
  for (size_t i = 0; i < own.pixels.size(); ++i) {
    if (mask.pixels[i] == 0) kept = kept && drawn.pixels[i] == own.pixels[i];
    if (mask.pixels[i] == 255) changed = changed || drawn.pixels[i] != own.pixels[i];
  }
  CHECK(kept);
  CHECK(changed);

  // The same mask from the picture's transparency, and by its opposite.
  Request holed = request;
  holed.mask.clear();
  holed.mask_from_alpha = true;
  holed.init_img = inpainting_file("holed.png");
  CHECK(pipeline.draw(holed).image == drawn);
  Request inverted = request;
  inverted.mask_invert = true;
  CHECK_FALSE(pipeline.draw(inverted).image == drawn);
  Request blurred = request;
  blurred.mask_blur = 4;
  CHECK_FALSE(pipeline.draw(blurred).image == drawn);
}

TEST_CASE("a batch repaints each picture as it would alone", "[pipeline]") {
  const TempDir folder;
  for (const std::string name : {"sd1", "sd1-9"}) {
    INFO(name);
    const Pipeline pipeline = Pipeline::open(
        {.model = with_wider_unet(folder, name, "inpainting").string(), .device = "cpu", .dtype = "fp32"});
    std::vector<Request> batch{repaint("mask.png"), repaint("slope.png")};
    for (size_t i = 0; i < batch.size(); ++i) {
      batch[i].width = 48, batch[i].height = 32, batch[i].seed = i, batch[i].sampler = "euler_a";
    }
    REQUIRE(can_share_batch(batch[0], batch[1]));
    const std::vector<Picture> together = pipeline.draw(batch);
    for (size_t i = 0; i < batch.size(); ++i) {
      const Image alone = pipeline.draw(batch[i]).image;
      CHECK(largest_difference(together[i].image, alone) <= 1);
    }
  }
}

TEST_CASE("a mask is checked before the weights are read", "[pipeline]") {
  const TempDir folder;
  const auto refused = [&](const std::string& model, const Request& request, ErrorKind kind,
                           const std::string& message) {
    const CheckedModel checked =
        Pipeline::check({.model = with_wider_unet(folder, model, "inpainting").string(), .device = "cpu"});
    check_error(kind, message, [&] { static_cast<void>(checked.check(request)); });
  };
  Request request = repaint();
  request.init_img.clear();
  refused("sd1", request, ErrorKind::usage, "--mask: there is no picture to repaint");
  refused("sd1-9", {.prompt = "a"}, ErrorKind::usage, "--mask: sd1-9 is a model for inpainting");
  request = repaint();
  request.mask_from_alpha = true;
  refused("sd1", request, ErrorKind::usage, "--mask-from-alpha: --mask gives a mask already");
  request.mask.clear();
  refused("sd1", request, ErrorKind::input, "start.png: has no transparency");
  request = repaint();
  request.mask = "no-mask.png";
  refused("sd1", request, ErrorKind::input, "no-mask.png");
  for (const auto flag : {&Request::mask_invert, &Request::keep_unmasked}) {
    request = {.prompt = "a", .init_img = inpainting_file("start.png")};
    request.*flag = true;
    refused("sd1", request, ErrorKind::usage, "there is no mask");
  }
  request = {.prompt = "a", .init_img = inpainting_file("start.png"), .mask_blur = 3};
  refused("sd1", request, ErrorKind::usage, "--mask-blur: there is no mask");
  request = repaint();
  request.mask_blur = -1;
  refused("sd1", request, ErrorKind::usage, "--mask-blur: must be 0…1000");
  request = repaint();
  request.strength = 0.01;
  refused("sd1", request, ErrorKind::usage, "--strength: 0.01 of 4 steps is none");
}
