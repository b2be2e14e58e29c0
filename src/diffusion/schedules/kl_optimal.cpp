#include <cmath>

#include "diffusion/schedules/schedules.hpp"
#include "diffusion/timesteps.hpp"

namespace sdtorch {

/// Evenly in the arc tangent of sigma over the training levels, which is optimal in Kullback-Leibler divergence for
/// Gaussian data (Sabour et al. 2024, "Align Your Steps", theorem 3.1). A1111 has a level more, and ends at the
/// smallest one and not at 0.
std::vector<double> kl_optimal_levels(const LevelRange& range) {
  const int64_t count = range.steps + (range.rules == ScheduleRules::a1111 ? 1 : 0);
  std::vector<double> sigmas = linspace(std::atan(range.training.back()), std::atan(range.training.front()), count);
  for (double& sigma : sigmas) sigma = std::tan(sigma);
  return sigmas;
}

}  // namespace sdtorch
