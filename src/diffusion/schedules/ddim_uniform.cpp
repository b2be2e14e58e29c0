#include <algorithm>

#include "diffusion/schedules/schedules.hpp"

namespace sdtorch {

/// Whole training timesteps 1, 1 + stride, …, the stride rounded down, as DDIM's authors lay them (ComfyUI's
/// `ddim_uniform`). Where the stride does not divide, A1111 and ComfyUI take steps more than were asked for, at the
/// noisy end; without their rules this does not.
std::vector<double> ddim_uniform_levels(const LevelRange& range) {
  const auto total = static_cast<int64_t>(range.training.size());
  const int64_t stride = std::max<int64_t>(total / range.steps, 1);
  const bool all = range.rules == ScheduleRules::a1111 || range.rules == ScheduleRules::comfy;
  std::vector<double> sigmas;
  for (int64_t i = (all ? (total + stride - 2) / stride : range.steps) - 1; i >= 0; --i) {
    sigmas.push_back(range.training[static_cast<size_t>(std::min(1 + i * stride, total - 1))]);
  }
  return sigmas;
}

}  // namespace sdtorch
