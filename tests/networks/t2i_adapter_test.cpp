#include "networks/t2i_adapter.hpp"

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

constexpr double adapter_scale = 0.7;  // scripts/goldens/control.py

GoldenNetwork load_adapter(const std::string& name) { return load_golden_network(golden_path("control"), name); }

Outputs run_adapter(const GoldenNetwork& golden, at::ScalarType type, at::Device device) {
  T2IAdapter adapter(T2IAdapterConfig::from_json(golden.config, golden.config_file));
  bind_weights(adapter, golden.weights, type, device, "adapter");
  const std::vector<at::Tensor> features = adapter.forward(golden.inputs.at("picture").to(device, type));
  CHECK(features.size() == adapter.config().features());
  Outputs outputs;
  for (size_t i = 0; i < features.size(); ++i) outputs["feature." + std::to_string(i)] = features[i];
  return outputs;
}

/// The U-Net's golden with the adapter's inputs: its own, and what a ControlNet adds, if asked for.
at::Tensor steered(const std::string& name, bool with_controlnet) {
  const GoldenNetwork golden = load_adapter(name);
  const GoldenNetwork unet_golden = load_steered_unet(name);
  T2IAdapter adapter(T2IAdapterConfig::from_json(golden.config, golden.config_file));
  UNet2DConditionModel unet(UNetConfig::from_json(unet_golden.config, unet_golden.config_file));
  bind_weights(adapter, golden.weights, at::kFloat, at::kCPU, "adapter");
  bind_weights(unet, unet_golden.weights, at::kFloat, at::kCPU, "unet");

  const auto given = [&](const std::string& input) {
    return golden.inputs.contains(input) ? golden.inputs.at(input) : at::Tensor();
  };
  UNetInput call{.sample = given("sample"),
                 .timestep = given("timestep"),
                 .context = given("context"),
                 .pooled = given("pooled"),
                 .time_ids = given("time_ids"),
                 .block_residuals = adapter.forward(given("picture"))};
  const std::vector<double> weights = adapter.weights(ControlMode::balanced, adapter_scale);
  for (size_t i = 0; i < weights.size(); ++i) call.block_residuals[i] = weights[i] * call.block_residuals[i];
  if (with_controlnet) {
    ControlResiduals more{.mid = given("mid_residual")};
    for (size_t i = 0; given("down_residual." + std::to_string(i)).defined(); ++i) {
      more.down.push_back(given("down_residual." + std::to_string(i)));
    }
    add_residuals(call, more);
  }
  return unet.forward(call);
}

}  // namespace

TEST_CASE("a T2I-Adapter's features equal diffusers'", "[networks]") {
  for (const char* name : {"adapter_sd1", "adapter_xl", "adapter_light", "adapter_odd"}) {
    GoldenNetwork golden = load_adapter(name);
    std::erase_if(golden.outputs["fp32"], [](const auto& output) { return !output.first.starts_with("feature."); });
    check_exact(golden, run_adapter, tolerance::tensor_relative);
  }
}

TEST_CASE("the U-Net that a T2I-Adapter steers equals diffusers', alone and beside a ControlNet", "[networks]") {
  const at::NoGradGuard no_grad;
  for (const char* name : {"adapter_sd1", "adapter_xl", "adapter_light"}) {
    INFO(name);
    const auto expected = load_adapter(name).outputs.at("fp32");
    CHECK(relative_error(steered(name, false), expected.at("sample")) <= tolerance::tensor_relative);
    CHECK(relative_error(steered(name, true), expected.at("both.sample")) <= tolerance::tensor_relative);
  }
}

TEST_CASE("more features than the U-Net has blocks are a bug", "[networks]") {
  const at::NoGradGuard no_grad;
  const GoldenNetwork golden = load_golden_network("unet_sd1");
  UNet2DConditionModel unet(UNetConfig::from_json(golden.config, golden.config_file));
  const UNetInput call{.sample = golden.inputs.at("sample"),
                       .timestep = golden.inputs.at("timestep"),
                       .context = golden.inputs.at("context"),
                       .block_residuals = std::vector<at::Tensor>(5, at::zeros({1}))};
  CHECK_THROWS_WITH(unet.forward(call), Catch::Contains("5 residuals for the U-Net's 3 blocks"));
}

TEST_CASE("a T2I-Adapter's weights are even, or those of sd-webui-controlnet", "[networks]") {
  const T2IAdapter adapter(T2IAdapterConfig::from_json(json::object(), "config.json"));
  CHECK(adapter.weights(ControlMode::balanced, 0.5) == std::vector<double>{0.5, 0.5, 0.5, 0.5});
  CHECK(adapter.weights(ControlMode::control, 2) == std::vector<double>{0.5, 1.24, 1.65, 2});
  CHECK(adapter.weights(ControlMode::prompt, 2) == std::vector<double>{0.5, 1.24, 1.65, 2});
}

TEST_CASE("a T2I-Adapter's config is refused by key", "[networks]") {
  const auto check = [](const char* name, const char* key, const json& value, const char* reason) {
    INFO(key);
    json config = load_adapter(name).config;
    config[key] = value;
    CHECK_THROWS_WITH(T2IAdapterConfig::from_json(config, "adapter/config.json"),
                      Catch::StartsWith(std::string("adapter/config.json: ") + key + ": ") && Catch::Contains(reason));
  };
  check("adapter_sd1", "adapter_type", "full", "full_adapter, full_adapter_xl or light_adapter");
  check("adapter_sd1", "channels", json::array(), "a list");
  check("adapter_sd1", "num_res_blocks", 0, "an integer from 1");
  check("adapter_sd1", "downscale_factor", 2.5, "an integer from 1");
  check("adapter_xl", "channels", {8, 12, 8, 12}, "equal numbers from the third on");
  check("adapter_light", "channels", {16, 3}, "at least 4");
  check("adapter_sd1", "kernel_size", 3, "unknown key");
}

TEST_CASE("a T2I-Adapter of another family than the model is refused by key", "[networks]") {
  const auto adapter_of = [](const char* name) {
    return T2IAdapterConfig::from_json(load_adapter(name).config, "adapter");
  };
  const auto unet_of = [](const char* name) { return UNetConfig::from_json(load_steered_unet(name).config, "unet"); };
  CHECK_NOTHROW(require_fit(adapter_of("adapter_sd1"), unet_of("adapter_sd1"), 4, "adapter"));
  CHECK_NOTHROW(require_fit(adapter_of("adapter_light"), unet_of("adapter_light"), 4, "adapter"));
  CHECK_NOTHROW(require_fit(adapter_of("adapter_xl"), unet_of("adapter_xl"), 2, "adapter"));
  const auto check = [](const T2IAdapterConfig& adapter, const UNetConfig& unet, const char* message) {
    CHECK_THROWS_WITH(require_fit(adapter, unet, 4, "adapter"),
                      Catch::StartsWith("adapter: ") && Catch::Contains(message));
  };
  check(adapter_of("adapter_sd1"), unet_of("adapter_xl"), "channels: feature 0 has 16 channels, the U-Net's block 8");
  check(adapter_of("adapter_xl"), unet_of("adapter_xl"), "downscale_factor: feature 0 is 4 times smaller");
  UNetConfig short_unet = unet_of("adapter_sd1");
  short_unet.levels.pop_back();
  short_unet.mid_block = MidBlock::none;
  check(adapter_of("adapter_sd1"), short_unet, "channels: 3 features for the U-Net's 2 blocks");
}
