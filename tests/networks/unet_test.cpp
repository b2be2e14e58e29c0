#include "sdtorch/networks/unet.hpp"

#include "networks/golden_network.hpp"
#include "support/catch.hpp"
#include "support/tolerance.hpp"

using namespace sdtorch;

TEST_CASE("the U-Net equals diffusers'", "[networks]") {
  for (const char* name : {"unet_sd1", "unet_sd2", "unet_odd_size", "unet_plain_mid", "unet_asymmetric"}) {
    const GoldenNetwork golden = load_golden_network(name);
    check_exact(golden, run_unet, tolerance::tensor_relative);
    check_half_types(golden, run_unet);
  }
}
