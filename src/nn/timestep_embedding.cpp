#include "nn/timestep_embedding.hpp"

#include <cmath>

namespace sdtorch {

at::Tensor sinusoidal_embedding(const at::Tensor& timesteps, int64_t width, TimestepEmbeddingOptions options) {
  constexpr double longest_period = 10000;
  const int64_t half = width / 2;
  const auto fp32 = timesteps.options().dtype(at::kFloat);
  // In fp32 an angle of 999 is exact to 6e-5 only, so the order of these operations is the reference's.
  const at::Tensor exponent =
      -std::log(longest_period) * at::arange(0, half, fp32) / (static_cast<double>(half) - options.freq_shift);
  const at::Tensor angle = timesteps.to(at::kFloat).unsqueeze(1) * exponent.exp().unsqueeze(0);
  const at::Tensor sin = angle.sin(), cos = angle.cos();
  const at::Tensor waves = options.flip_sin_to_cos ? at::cat({cos, sin}, 1) : at::cat({sin, cos}, 1);
  return width % 2 == 0 ? waves : at::constant_pad_nd(waves, {0, 1});
}

}  // namespace sdtorch
