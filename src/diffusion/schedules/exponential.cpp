#include <cmath>

#include "diffusion/schedules/schedules.hpp"
#include "diffusion/timesteps.hpp"

namespace sdtorch {

/// Evenly in log sigma (the schedule of Katherine Crowson's k-diffusion, get_sigmas_exponential).
std::vector<double> exponential_levels(const LevelRange& range) {
  std::vector<double> sigmas = linspace(std::log(range.max), std::log(range.min), range.steps);
  for (double& sigma : sigmas) sigma = std::exp(sigma);
  return sigmas;
}

}  // namespace sdtorch
