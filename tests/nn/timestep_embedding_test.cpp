#include "nn/timestep_embedding.hpp"

#include <cmath>

#include "support/catch.hpp"

using namespace sdtorch;

TEST_CASE("a timestep is sines and cosines at falling frequencies", "[nn]") {
  const at::Tensor waves = sinusoidal_embedding(at::tensor({3.0, 0.5}), 8, {.flip_sin_to_cos = false, .freq_shift = 0});
  REQUIRE(waves.sizes() == at::IntArrayRef{2, 8});
  CHECK(waves.scalar_type() == at::kFloat);
  for (int64_t i = 0; i < 4; ++i) {
    const double frequency = std::pow(10000.0, -static_cast<double>(i) / 4);
    CHECK(waves[0][i].item<double>() == Approx(std::sin(3 * frequency)).margin(1e-6));
    CHECK(waves[1][4 + i].item<double>() == Approx(std::cos(0.5 * frequency)).margin(1e-6));
  }
}

TEST_CASE("flipped, the cosines come first; shifted, the frequencies fall faster", "[nn]") {
  const at::Tensor t = at::tensor({7.0});
  const at::Tensor plain = sinusoidal_embedding(t, 6, {.flip_sin_to_cos = false, .freq_shift = 1});
  const at::Tensor flipped = sinusoidal_embedding(t, 6, {.flip_sin_to_cos = true, .freq_shift = 1});
  CHECK(at::equal(flipped, plain.roll(3, 1)));
  CHECK(plain[0][2].item<double>() == Approx(std::sin(7 * 1e-4)).epsilon(1e-4));
}

TEST_CASE("an odd width ends in a zero", "[nn]") {
  const at::Tensor waves = sinusoidal_embedding(at::tensor({5.0}), 5, {});
  REQUIRE(waves.size(1) == 5);
  CHECK(waves[0][4].item<double>() == 0);
}
