#include "networks/unet.hpp"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <set>
#include <thread>

#include "networks/golden_network.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/tolerance.hpp"
#include "weights/bind.hpp"

using namespace sdtorch;

namespace {

/// The network of a ControlNet without its last convolutions: the way down, alone in a module of its own.
struct WayDown : torch::nn::Module {
  explicit WayDown(const UNetConfig& config) : down(*this, config) {}
  UNetDown down;
};

std::set<std::string> keys_of(const torch::nn::Module& module) {
  const std::vector<std::string> keys = module.named_parameters().keys();
  return {keys.begin(), keys.end()};
}

}  // namespace

TEST_CASE("the U-Net equals diffusers'", "[networks]") {
  for (const char* name : {"unet_sd1", "unet_sd2", "unet_odd_size", "unet_plain_mid", "unet_asymmetric"}) {
    const GoldenNetwork golden = load_golden_network(name);
    check_exact(golden, run_unet, tolerance::tensor_relative);
    check_half_types(golden, run_unet);
  }
}

TEST_CASE("the U-Net takes SDXL's texts and sizes, and a guidance scale, as diffusers' does", "[networks]") {
  for (const char* name : {"unet_xl", "unet_xl_refiner", "unet_distilled"}) {
    check_exact(load_golden_network(golden_path("families"), name), run_unet, tolerance::tensor_relative);
  }
}

TEST_CASE("the U-Net adds residuals and takes further channels as diffusers' does", "[networks]") {
  for (const char* name : {"unet_residuals", "unet_residuals_no_mid"}) {
    GoldenNetwork golden = load_golden_network(name);
    std::erase_if(golden.outputs["fp32"], [](const auto& output) { return output.first != "sample"; });
    check_exact(golden, run_unet, tolerance::tensor_relative);
  }
}

TEST_CASE("residuals of zeros change nothing, and any other number than the skips' is refused", "[networks]") {
  const at::NoGradGuard no_grad;
  GoldenNetwork golden = load_golden_network("unet_residuals");
  for (auto& [name, tensor] : golden.inputs) {
    if (name.find("residual") != std::string::npos) tensor = at::zeros_like(tensor);
  }
  const at::Tensor with_zeros = run_unet(golden, at::kFloat).at("sample");
  std::erase_if(golden.inputs, [](const auto& input) { return input.first.find("residual") != std::string::npos; });
  CHECK(at::equal(run_unet(golden, at::kFloat).at("sample"), with_zeros));
  golden.inputs["down_residual.0"] = at::zeros({1});
  CHECK_THROWS_WITH(run_unet(golden, at::kFloat), Catch::Contains("1 residuals for the U-Net's 6 skips"));
}

TEST_CASE("the way down is a part that another network may be built from, as diffusers' ControlNet is", "[networks]") {
  const at::NoGradGuard no_grad;
  GoldenNetwork golden = load_golden_network("unet_residuals");
  const UNetConfig config = UNetConfig::from_json(golden.config, golden.config_file);
  WayDown net(config);
  const std::set<std::string> all = keys_of(UNet2DConditionModel(config)), own = keys_of(net);
  CHECK(std::includes(all.begin(), all.end(), own.begin(), own.end()));
  CHECK(own.contains("mid_block.resnets.1.conv2.weight"));

  std::erase_if(golden.weights, [&](const auto& weight) { return !own.contains(weight.first); });
  bind_weights(net, golden.weights, at::kFloat, at::kCPU, "controlnet");
  const auto& in = golden.inputs;
  const UNetDepths depths = net.down({.sample = in.at("sample"),
                                      .timestep = in.at("timestep"),
                                      .context = in.at("context"),
                                      .extra_channels = in.at("extra_channels")},
                                     in.at("hint"));
  const auto& expected = golden.outputs.at("fp32");
  CHECK(relative_error(depths.x, expected.at("middle")) <= tolerance::tensor_relative);
  REQUIRE(depths.skips.size() == 6);
  for (size_t i = 0; i < depths.skips.size(); ++i) {
    CHECK(relative_error(depths.skips[i], expected.at("skip." + std::to_string(i))) <= tolerance::tensor_relative);
  }
}

TEST_CASE("two threads may draw with the same U-Net", "[networks]") {
  const GoldenNetwork golden = load_golden_network("unet_sd1");
  UNet2DConditionModel model(UNetConfig::from_json(golden.config, golden.config_file));
  bind_weights(model, golden.weights, at::kFloat, at::kCPU, "unet");
  const UNet2DConditionModel& unet = model;
  const auto draw = [&](double timestep) {
    const at::NoGradGuard no_grad;
    return unet.forward({.sample = golden.inputs.at("sample"),
                         .timestep = at::full({2}, timestep),
                         .context = golden.inputs.at("context")});
  };
  const std::array<double, 2> timesteps{981.0, 21.5};
  std::array<at::Tensor, 2> alone, beside;
  for (size_t i = 0; i < 2; ++i) alone[i] = draw(timesteps[i]);
  std::array<std::thread, 2> threads;
  for (size_t i = 0; i < 2; ++i) {
    threads[i] = std::thread([&, i] {
      for (int again = 0; again < 5; ++again) beside[i] = draw(timesteps[i]);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < 2; ++i) CHECK(at::equal(alone[i], beside[i]));
}

TEST_CASE("what conditions of one picture share is computed once, and equals what each would have alone",
          "[networks]") {
  const at::NoGradGuard no_grad;
  for (const char* name : {"unet_sd1", "unet_sd2", "unet_plain_mid", "unet_asymmetric"}) {
    INFO(name);
    GoldenNetwork golden = load_golden_network(name);
    UNet2DConditionModel unet(UNetConfig::from_json(golden.config, golden.config_file));
    bind_weights(unet, golden.weights, at::kFloat, at::kCPU, "unet");
    at::manual_seed(3);
    const at::Tensor sample = golden.inputs.at("sample"), timestep = golden.inputs.at("timestep");
    const at::Tensor context = at::randn({3 * sample.size(0), 5, unet.config().cross_attention_dim});
    const at::Tensor apart =
        unet.forward({.sample = sample.repeat({3, 1, 1, 1}), .timestep = timestep.repeat({3}), .context = context});
    KeptKeys kept;
    for (int again = 0; again < 2; ++again) {
      const at::Tensor together =
          unet.forward({.sample = sample, .timestep = timestep, .context = context, .kept_keys = &kept});
      CHECK(relative_error(together, apart) <= tolerance::tensor_relative);
    }
    DeepCache of_few{.branch = 1}, of_all{.branch = 1};
    for (const bool reuse : {false, true}) {
      of_few.reuse = of_all.reuse = reuse;
      const at::Tensor all = unet.forward({.sample = sample.repeat({3, 1, 1, 1}),
                                           .timestep = timestep.repeat({3}),
                                           .context = context,
                                           .freeu = FreeU{.b1 = 1.2, .s1 = 0.8},
                                           .deep_cache = &of_all});
      const at::Tensor few = unet.forward({.sample = sample,
                                           .timestep = timestep,
                                           .context = context,
                                           .freeu = FreeU{.b1 = 1.2, .s1 = 0.8},
                                           .deep_cache = &of_few});
      CHECK(relative_error(few, all) <= tolerance::tensor_relative);
    }
  }
}

TEST_CASE("conditions of one picture share its guidance scale's embedding, too", "[networks]") {
  const at::NoGradGuard no_grad;
  const GoldenNetwork golden = load_golden_network(golden_path("families"), "unet_distilled");
  UNet2DConditionModel unet(UNetConfig::from_json(golden.config, golden.config_file));
  bind_weights(unet, golden.weights, at::kFloat, at::kCPU, "unet");
  const auto& in = golden.inputs;
  const at::Tensor context = at::cat({in.at("context"), 2 * in.at("context")});
  const at::Tensor apart = unet.forward({.sample = in.at("sample").repeat({2, 1, 1, 1}),
                                         .timestep = in.at("timestep").repeat({2}),
                                         .context = context,
                                         .guidance = in.at("guidance").repeat({2, 1})});
  const at::Tensor together = unet.forward(
      {.sample = in.at("sample"), .timestep = in.at("timestep"), .context = context, .guidance = in.at("guidance")});
  CHECK(relative_error(together, apart) <= tolerance::tensor_relative);
}

TEST_CASE("keys and values of a context are made once for all calls that see it", "[networks]") {
  KeptKeys kept;
  int made = 0;
  const auto make = [&] { return KeysAndValues{.keys = at::full({1}, ++made), .values = at::full({1}, -made)}; };
  const int layer = 0, other = 0;
  CHECK(kept.of(&layer, make).keys.item<int>() == 1);
  CHECK(kept.of(&layer, make).values.item<int>() == -1);
  CHECK(kept.of(&other, make).keys.item<int>() == 2);
  CHECK(made == 2);
}
