#include <algorithm>

#include "diffusion/schedules/schedules.hpp"

namespace sdtorch {

/// Whole training timesteps 1, 1 + stride, …, the stride rounded down, as DDIM's authors lay them (ComfyUI's
/// `ddim_uniform`). Where the stride does not divide, other tools take a step more than was asked for, at the noisy
/// end; this does not.
std::vector<double> ddim_uniform_levels(const LevelRange& range) {
  const auto total = static_cast<int64_t>(range.training.size());
  const int64_t stride = std::max<int64_t>(total / range.steps, 1);
  std::vector<double> sigmas;
  for (int64_t i = range.steps - 1; i >= 0; --i) {
    sigmas.push_back(range.training[static_cast<size_t>(std::min(1 + i * stride, total - 1))]);
  }
  return sigmas;
}

}  // namespace sdtorch
