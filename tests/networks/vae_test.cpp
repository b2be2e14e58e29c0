#include "networks/vae.hpp"

#include "networks/golden_network.hpp"
#include "support/catch.hpp"
#include "support/tolerance.hpp"

using namespace sdtorch;

TEST_CASE("the autoencoder equals diffusers'", "[networks]") {
  for (const char* name : {"vae_sd", "vae_no_quant", "vae_no_attention"}) {
    const GoldenNetwork golden = load_golden_network(name);
    check_exact(golden, run_vae, tolerance::tensor_relative);
    check_half_types(golden, run_vae);
  }
}

TEST_CASE("a latent pixel stands for two to the power of the downsamplings", "[networks]") {
  CHECK(VaeConfig::from_json(load_golden_network("vae_sd").config, "config").factor() == 4);
  CHECK(VaeConfig::from_json(load_golden_network("vae_no_attention").config, "config").factor() == 8);
}
