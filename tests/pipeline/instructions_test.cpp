// Pictures changed as a text says, against diffusers' InstructPix2Pix pipelines (scripts/goldens/instructions.py).
#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "pipeline/settings_json.hpp"
#include "support/catch.hpp"
#include "support/drawing.hpp"
#include "support/errors.hpp"
#include "support/families.hpp"
#include "support/golden.hpp"
#include "support/temp_dir.hpp"
#include "support/tolerance.hpp"

using namespace sdtorch;

TEST_CASE("instructions change a picture as diffusers' InstructPix2Pix does", "[pipeline]") {
  const auto expected = load_golden("instructions/pictures");
  const auto cases = nlohmann::json::parse(golden_metadata("instructions/pictures").at("cases"));
  REQUIRE(!cases.empty());
  const TempDir folder;
  std::map<std::string, PipelineNetworks> models;
  for (size_t i = 0; i < cases.size(); ++i) {
    INFO(cases[i].dump());
    nlohmann::json golden_case = cases[i];
    const std::string name = golden_case.at("model");
    PipelineNetworks& networks = models[name];
    if (!networks.model.unet) {
      networks = networks_of(describe_model(with_wider_unet(folder, name, "instructions").string(), ""));
    }
    golden_case.erase("model");
    golden_case["init-img"] = golden_path("inpainting/start.png").string();
    const Settings settings = settings_from_json(golden_case, {}, {.file = "golden"});
    at::Tensor latent;
    Observer observer;
    observer.on_tensor = [&](std::string_view stage, const at::Tensor& tensor) {
      if (stage == "latent") latent = tensor;
    };
    const at::Tensor pictures = draw_tensors(networks, settings, settings.batch_count, observer).pictures;
    const std::string key = fmt::format("{:03}", i);
    CHECK(relative_error(latent, expected.at(key + ".latent")) <= tolerance::tensor_relative);
    const at::Tensor bytes = (pictures * 255).round().permute({0, 2, 3, 1});
    const at::Tensor difference = (bytes - expected.at(key + ".image").to(at::kFloat)).abs();
    CHECK(difference.max().item<double>() <= tolerance::pixel * 255);
    CHECK(difference.mean().item<double>() <= tolerance::pixel_mean * 255);
  }
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
