#include <cmath>

#include "diffusion/schedules/schedules.hpp"
#include "diffusion/timesteps.hpp"

namespace sdtorch {

/// Evenly in the arc tangent of sigma over the training levels, which is optimal in Kullback-Leibler divergence for
/// Gaussian data (Sabour et al. 2024, "Align Your Steps", theorem 3.1).
std::vector<double> kl_optimal_levels(const LevelRange& range) {
  std::vector<double> sigmas =
      linspace(std::atan(range.training.back()), std::atan(range.training.front()), range.steps);
  for (double& sigma : sigmas) sigma = std::tan(sigma);
  return sigmas;
}

}  // namespace sdtorch
