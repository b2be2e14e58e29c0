#include "networks/controlnet.hpp"

#include <ATen/core/grad_mode.h>

#include "core/error.hpp"
#include "networks/golden_network.hpp"
#include "networks/unet.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/tolerance.hpp"
#include "weights/bind.hpp"

using namespace sdtorch;
using nlohmann::json;

namespace {

constexpr double golden_scale = 0.7;  // scripts/goldens/control.py

/// A ControlNet's golden and the U-Net of another that it steers.
struct Steering {
  explicit Steering(const std::string& name) : golden(load_golden_network(golden_path("control"), name)) {
    const GoldenNetwork unet_golden = load_steered_unet(name);
    unet = std::make_shared<UNet2DConditionModel>(UNetConfig::from_json(unet_golden.config, unet_golden.config_file));
    net = std::make_shared<ControlNet>(ControlNetConfig::from_json(golden.config, golden.config_file));
    bind_weights(*unet, unet_golden.weights, at::kFloat, at::kCPU, "unet");
    bind_weights(*net, golden.weights, at::kFloat, at::kCPU, "controlnet");
  }

  UNetInput call() const {
    const auto given = [&](const char* name) {
      return golden.inputs.contains(name) ? golden.inputs.at(name) : at::Tensor();
    };
    return {.sample = given("sample"),
            .timestep = given("timestep"),
            .context = given("context"),
            .pooled = given("pooled"),
            .time_ids = given("time_ids")};
  }

  at::Tensor steered(ControlMode mode) const {
    UNetInput input = call();
    const at::Tensor hint = net->embed(golden.inputs.at("picture"));
    add_residuals(input, net->forward(input, hint, net->weights(mode, golden_scale)));
    return unet->forward(input);
  }

  GoldenNetwork golden;
  std::shared_ptr<UNet2DConditionModel> unet;
  std::shared_ptr<ControlNet> net;
};

/// Checks that `json` is refused with a message that begins with `file: key` and tells the reason.
void check_refused(const json& config, const std::string& key, const char* reason) {
  INFO(key);
  CHECK_THROWS_WITH(ControlNetConfig::from_json(config, "controlnet/config.json"),
                    Catch::StartsWith("controlnet/config.json: " + key) && Catch::Contains(reason));
}

}  // namespace

TEST_CASE("a ControlNet's residuals equal diffusers', and so does the U-Net that they steer", "[networks]") {
  const at::NoGradGuard no_grad;
  for (const char* name : {"controlnet_sd1", "controlnet_sd2", "controlnet_xl", "controlnet_pooled"}) {
    INFO(name);
    const Steering s(name);
    const auto& expected = s.golden.outputs.at("fp32");
    const auto near = [&](const at::Tensor& actual, const std::string& output) {
      INFO(output);
      CHECK(relative_error(actual, expected.at(output)) <= tolerance::tensor_relative);
    };
    const ControlResiduals residuals = s.net->forward(s.call(), s.net->embed(s.golden.inputs.at("picture")),
                                                      s.net->weights(ControlMode::balanced, golden_scale));
    near(residuals.mid, "mid");
    CHECK_FALSE(expected.contains("down." + std::to_string(residuals.down.size())));
    for (size_t i = 0; i < residuals.down.size(); ++i) near(residuals.down[i], "down." + std::to_string(i));
    near(s.steered(ControlMode::balanced), "sample");
    near(s.steered(ControlMode::control), "control.sample");
    near(s.steered(ControlMode::prompt), "prompt.sample");
  }
}

TEST_CASE("two ControlNets add up, and a weight too few is a bug", "[networks]") {
  const at::NoGradGuard no_grad;
  const Steering s("controlnet_xl");
  const at::Tensor hint = s.net->embed(s.golden.inputs.at("picture"));
  const auto halves = s.net->forward(s.call(), hint, s.net->weights(ControlMode::balanced, golden_scale / 2));
  UNetInput twice = s.call();
  add_residuals(twice, halves);
  add_residuals(twice, halves);
  const at::Tensor once = s.steered(ControlMode::balanced);
  CHECK(relative_error(s.unet->forward(twice), once) <= tolerance::tensor_relative);
  CHECK_THROWS_WITH(s.net->forward(s.call(), hint, std::vector<double>(3, 1.0)), Catch::Contains("3 weights"));
}

TEST_CASE("missing keys of a ControlNet take the reference's defaults", "[networks]") {
  const auto config = ControlNetConfig::from_json(json::object(), "config.json");
  CHECK(config.factor() == 8);
  CHECK(config.conditioning_channels == 3);
  CHECK_FALSE(config.bgr);
  CHECK(config.unet.levels.size() == 4);
  CHECK(config.unet.levels[2].down_transformers == std::vector<int64_t>{1, 1});
}

TEST_CASE("a ControlNet's config is refused by key", "[networks]") {
  json good = load_golden_network(golden_path("control"), "controlnet_sd1").config;
  const auto with = [&](const char* key, const json& value) {
    json config = good;
    config[key] = value;
    return config;
  };
  check_refused(with("controlnet_conditioning_channel_order", "grb"), "controlnet_conditioning_channel_order",
                "rgb or bgr");
  check_refused(with("conditioning_embedding_out_channels", nullptr), "conditioning_embedding_out_channels", "a list");
  check_refused(with("conditioning_channels", 0), "conditioning_channels", "an integer from 1");
  check_refused(with("global_pool_conditions", 1), "global_pool_conditions", "true or false");
  check_refused(with("mid_block_type", nullptr), "mid_block_type", "UNetMidBlock2DCrossAttn or UNetMidBlock2D");
  check_refused(with("layers_per_block", {2, 2, 2}), "layers_per_block", "an integer");
  check_refused(with("num_attention_heads", {2, 2}), "num_attention_heads", "a list of 3");
  check_refused(with("class_embed_type", "projection"), "class_embed_type", "not supported");
  check_refused(with("encoder_hid_dim_type", "text_proj"), "encoder_hid_dim_type", "not supported");
  check_refused(with("block_out_channels", {16, 33, 32}), "block_out_channels", "multiples of norm_num_groups");
  for (const char* key : {"up_block_types", "out_channels", "time_embedding_dim", "num_control_type", "sample_size"}) {
    check_refused(with(key, 6), key, "unknown key");
  }
  CHECK_NOTHROW(ControlNetConfig::from_json(with("num_control_type", 6), "c.json", {.ignore_unknown = true}));
  CHECK_THROWS_AS(ControlNetConfig::from_json(json::array(), "config.json"), Error);
}

TEST_CASE("a ControlNet of another family than the model is refused by key", "[networks]") {
  const Steering s("controlnet_sd1");
  const UNetConfig unet = s.unet->config();
  const auto check = [&](const char* key, auto&& change) {
    ControlNetConfig control = s.net->config();
    change(control.unet);
    CHECK_THROWS_WITH(require_fit(control, unet, 8, "net"), Catch::StartsWith(std::string("net: ") + key));
  };
  CHECK_NOTHROW(require_fit(s.net->config(), unet, 8, "net"));
  CHECK_THROWS_WITH(require_fit(s.net->config(), unet, 4, "net"), Catch::Contains("8 times smaller, the model's 4"));
  check("block_out_channels", [](UNetConfig& c) { c.levels[1].channels = 16; });
  check("block_out_channels", [](UNetConfig& c) { c.levels.pop_back(); });
  check("in_channels", [](UNetConfig& c) { c.in_channels = 9; });
  check("cross_attention_dim", [](UNetConfig& c) { c.cross_attention_dim = 768; });
  check("projection_class_embeddings_input_dim", [](UNetConfig& c) { c.added = {.time_width = 4, .input_width = 9}; });
}
