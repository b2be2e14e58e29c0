// The networks at Stable Diffusion 1.5's size, against goldens of several gigabytes that are not in the tree:
//   scripts/make_goldens.py --full DIR networks
//   SDTORCH_FULL_GOLDENS=DIR sdtorch_tests "[.full]"
#include <cstdlib>
#include <string>

#include "networks/golden_network.hpp"
#include "support/catch.hpp"
#include "support/tolerance.hpp"

namespace {

void check_full_size(const std::string& name, RunNetwork run) {
  const char* folder = std::getenv("SDTORCH_FULL_GOLDENS");
  if (!folder) FAIL("set SDTORCH_FULL_GOLDENS to what scripts/make_goldens.py --full wrote");
  check_exact(load_golden_network(std::filesystem::path(folder), name), run, tolerance::full_size_relative);
}

}  // namespace

TEST_CASE("the text encoder at full size equals transformers'", "[.full]") { check_full_size("full_clip", run_clip); }

TEST_CASE("the U-Net at full size equals diffusers'", "[.full]") { check_full_size("full_unet", run_unet); }

TEST_CASE("the autoencoder at full size equals diffusers'", "[.full]") { check_full_size("full_vae", run_vae); }
