#include "diffusion/schedules/schedules.hpp"

namespace sdtorch {

/// Whole training timesteps at even strides from the noisiest down, each stride rounded down (ComfyUI's `simple`).
std::vector<double> simple_levels(const LevelRange& range) {
  const double stride = static_cast<double>(range.training.size()) / static_cast<double>(range.steps);
  std::vector<double> sigmas;
  for (int64_t i = 0; i < range.steps; ++i) {
    const auto back = static_cast<size_t>(static_cast<double>(i) * stride);
    sigmas.push_back(range.training[range.training.size() - 1 - back]);
  }
  return sigmas;
}

}  // namespace sdtorch
