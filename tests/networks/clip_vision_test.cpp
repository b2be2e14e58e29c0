// CLIP's image encoder against transformers (scripts/goldens/ip_adapter.py).
#include "networks/clip_vision.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <map>

#include "io/read_picture.hpp"
#include "io/resize.hpp"
#include "networks/clip_picture.hpp"
#include "networks/golden_network.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"
#include "support/picture_tensors.hpp"
#include "support/tolerance.hpp"
#include "weights/bind.hpp"

using namespace sdtorch;
using nlohmann::json;

namespace {

Outputs run_vision(const GoldenNetwork& golden, at::ScalarType type, at::Device device) {
  ClipVisionModel model(ClipVisionConfig::from_json(golden.config, golden.config_file));
  bind_weights(model, golden.weights, type, device, "image_encoder");
  const at::Tensor pixels = golden.inputs.at("pixels").to(device, type);
  return {{"embeds", model.embed(pixels)}, {"states", model.penultimate(pixels)}};
}

ClipVisionConfig vision_config(const json& config) { return ClipVisionConfig::from_json(config, "config.json"); }

/// As the encoder of published adapters for SD1 says it.
json vit_h() {
  return {{"_name_or_path", "./image_encoder"},
          {"architectures", {"CLIPVisionModelWithProjection"}},
          {"attention_dropout", 0.0},
          {"dropout", 0.0},
          {"hidden_act", "gelu"},
          {"hidden_size", 1280},
          {"image_size", 224},
          {"initializer_factor", 1.0},
          {"initializer_range", 0.02},
          {"intermediate_size", 5120},
          {"layer_norm_eps", 1e-05},
          {"model_type", "clip_vision_model"},
          {"num_attention_heads", 16},
          {"num_channels", 3},
          {"num_hidden_layers", 32},
          {"patch_size", 14},
          {"projection_dim", 1024},
          {"torch_dtype", "float16"},
          {"transformers_version", "4.28.0.dev0"}};
}

/// And for SDXL.
json big_g() {
  json config = vit_h();
  config.update(
      {{"hidden_size", 1664}, {"intermediate_size", 8192}, {"num_hidden_layers", 48}, {"projection_dim", 1280}});
  return config;
}

ClipPreparation preparation(const json& config) {
  return ClipPreparation::from_json(config, "preprocessor_config.json");
}

}  // namespace

TEST_CASE("CLIP's image encoder agrees with transformers", "[networks]") {
  for (const char* name : {"encoder_small", "encoder_wide"}) {
    const GoldenNetwork golden = load_golden_network(golden_path("ip_adapter"), name);
    check_exact(golden, run_vision, tolerance::tensor_relative);
    check_half_types(golden, run_vision);
  }
}

TEST_CASE("image encoders of the published sizes are understood", "[networks]") {
  const ClipVisionConfig h = vision_config(vit_h()), g = vision_config(big_g());
  CHECK(h.hidden_size == 1280);
  CHECK(h.projection_dim == 1024);
  CHECK(h.tokens() == 257);
  CHECK((h.hidden_act == Activation::gelu));
  CHECK(g.hidden_size == 1664);
  CHECK(g.projection_dim == 1280);
  CHECK(g.num_hidden_layers == 48);
  const json whole{{"model_type", "clip"}, {"text_config", json::object()}, {"vision_config", vit_h()}};
  CHECK(vision_config(whole).intermediate_size == 5120);
  const ClipVisionConfig usual = vision_config(json::object());
  CHECK(usual.hidden_size == 768);
  CHECK((usual.hidden_act == Activation::quick_gelu));
}

TEST_CASE("what an image encoder's config cannot mean is refused by name", "[networks]") {
  const auto refused = [](const char* key, const json& value, const std::string& fragment) {
    json config = vit_h();
    config[key] = value;
    check_error(ErrorKind::model, std::string("config.json: ") + key + ": " + fragment, [&] { vision_config(config); });
  };
  refused("model_type", "siglip_vision_model", "expected clip_vision_model");
  refused("num_attention_heads", 7, "expected a divisor of hidden_size, 1280");
  refused("num_channels", 1, "");
  refused("patch_size", 225, "");
  refused("hidden_act", "laplace", "");
  refused("use_rotary", true, "");
  refused("hidden_size", "1280", "");
}

TEST_CASE("pictures are prepared as CLIPImageProcessor does it", "[networks]") {
  const auto golden = load_golden("ip_adapter/prepared");
  const json configs = json::parse(golden_metadata("ip_adapter/prepared").at("configs"));
  int compared = 0;
  for (const auto& [key, expected] : golden) {
    INFO(key);
    const size_t dot = key.find('.');
    const ClipPreparation how = preparation(configs.at(key.substr(0, dot)));
    const Image picture = read_picture(golden_path("ip_adapter/" + key.substr(dot + 1))).image;
    const auto [height, width] = how.size_of(picture.height, picture.width);
    const std::map<PillowFilter, Resampling> filters{{PillowFilter::lanczos, Resampling::lanczos},
                                                     {PillowFilter::bilinear, Resampling::bilinear},
                                                     {PillowFilter::bicubic, Resampling::bicubic}};
    const Image fitted = how.resize ? resize(picture, width, height, filters.at(how.filter)) : picture;
    const at::Tensor made = how.colours.normalised(how.cropped(picture_tensor(fitted)));
    CHECK(made.size(2) == how.final_size(picture.height, picture.width)[0]);
    CHECK(relative_error(made, expected) <= 1e-6);
    ++compared;
  }
  CHECK(compared == 7 * 4);
}

TEST_CASE("how a config says a picture's sides", "[networks]") {
  const ClipPreparation old =
      preparation({{"size", 336}, {"crop_size", 320}, {"feature_extractor_type", "CLIPFeatureExtractor"}});
  CHECK((old.size_of(100, 250) == std::array<int64_t, 2>{336, 840}));
  CHECK((old.final_size(100, 250) == std::array<int64_t, 2>{320, 320}));
  const ClipPreparation usual = preparation(json::object());
  CHECK((usual.size_of(301, 200) == std::array<int64_t, 2>{337, 224}));  // 337.12, rounded down
  CHECK((usual.final_size(301, 200) == std::array<int64_t, 2>{224, 224}));
  const auto refused = [](const json& config, const std::string& fragment) {
    check_error(ErrorKind::model, fragment, [&] { preparation(config); });
  };
  refused({{"image_processor_type", "ViTImageProcessor"}}, "image_processor_type: expected CLIPImageProcessor");
  refused({{"size", {{"shortest_edge", 0}}}}, "size: shortest_edge");
  refused({{"size", {{"longest_edge", 224}}}}, "size: height");
  refused({{"size", {{"shortest_edge", 224}, {"longest_edge", 300}}}}, "longest_edge");
  refused({{"crop_size", {{"height", 224}}}}, "crop_size: width");
  refused({{"resample", 5}}, "resample");
  refused({{"image_std", {1, 0, 1}}}, "image_std");
  refused({{"image_mean", {1, 2}}}, "image_mean");
}
