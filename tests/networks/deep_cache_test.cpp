// Calls of a U-Net that go down to one branch only, against the package DeepCache (scripts/goldens/shortcuts.py).
#include <ATen/core/grad_mode.h>
#include <string>

#include "networks/golden_network.hpp"
#include "networks/unet.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/tolerance.hpp"
#include "weights/bind.hpp"

using namespace sdtorch;

TEST_CASE("a call that uses deep layers again equals DeepCache's, by each branch", "[networks]") {
  const at::NoGradGuard no_grad;
  const GoldenNetwork golden = load_golden_network(golden_path("shortcuts"), "unet_branches");
  UNet2DConditionModel unet(UNetConfig::from_json(golden.config, golden.config_file));
  bind_weights(unet, golden.weights, at::kFloat, at::kCPU, "unet");
  const auto input = [&](int64_t step) {
    return UNetInput{.sample = golden.inputs.at("samples")[step],
                     .timestep = golden.inputs.at("timesteps")[step].repeat({2}),
                     .context = golden.inputs.at("context")};
  };
  const at::Tensor exact = unet.forward(input(1));
  REQUIRE(skip_count(unet.config()) == 9);
  for (size_t branch = 0; branch < 9; ++branch) {
    INFO(branch);
    DeepCache cache{.branch = branch};
    UNetInput first = input(0), second = input(1);
    first.deep_cache = second.deep_cache = &cache;
    CHECK(at::equal(unet.forward(first), unet.forward(input(0))));
    cache.reuse = true;
    const at::Tensor output = unet.forward(second);
    CHECK(relative_error(output, golden.outputs.at("fp32").at(std::to_string(branch))) <= tolerance::tensor_relative);
    CHECK(relative_error(output, exact) > 0.003);
    cache.reuse = false;
    CHECK(at::equal(unet.forward(second), exact));
  }
}
