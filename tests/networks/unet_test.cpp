#include "networks/unet.hpp"

#include "networks/golden_network.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/tolerance.hpp"

using namespace sdtorch;

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
