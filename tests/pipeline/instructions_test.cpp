// Pictures changed as a text says, against diffusers' InstructPix2Pix pipelines (scripts/goldens/instructions.py).
#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/families.hpp"
#include "support/golden.hpp"
#include "support/golden_pictures.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;

TEST_CASE("instructions change a picture as diffusers' InstructPix2Pix does", "[pipeline]") {
  WiderModels models("instructions");
  check_golden_pictures(
      "instructions", [&](const nlohmann::json& one) -> const PipelineNetworks& { return models.get(one.at("model")); },
      {{"init-img", "inpainting"}});
}

TEST_CASE("an instruction needs a picture, and nothing else takes its scale", "[pipeline]") {
  const TempDir folder;
  const auto refused = [&](const std::string& model, const Request& request, const std::string& message) {
    const CheckedModel checked =
        Pipeline::check({.model = with_wider_unet(folder, model, "instructions").string(), .device = "cpu"});
    check_error(ErrorKind::usage, message, [&] { static_cast<void>(checked.check(request)); });
  };
  const std::string picture = golden_path("inpainting/start.png").string();
  refused("sd1-8", {.prompt = "a"}, "--init-img: sd1-8 is a model for InstructPix2Pix, which needs a picture");
  refused("sd1-8", {.prompt = "a", .init_img = picture, .strength = 0.5}, "--strength");
  refused("sd1-8", {.prompt = "a", .init_img = picture, .mask = picture}, "--mask");
  refused("sd1-8", {.prompt = "a", .init_img = picture, .image_cfg_scale = -1}, "--image-cfg-scale: must be 0 or more");
  refused("sd1", {.prompt = "a", .init_img = picture, .image_cfg_scale = 2}, "--image-cfg-scale: sd1");
}
