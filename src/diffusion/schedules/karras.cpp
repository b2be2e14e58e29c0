#include <cmath>

#include "diffusion/schedules/schedules.hpp"
#include "diffusion/timesteps.hpp"

namespace sdtorch {

std::vector<double> karras_sigmas(double max, double min, int64_t count) {
  constexpr double rho = 7;
  const double from = std::pow(max, 1 / rho), to = std::pow(min, 1 / rho);
  std::vector<double> sigmas = linspace(0, 1, count);
  for (double& sigma : sigmas) sigma = std::pow(from + sigma * (to - from), rho);
  return sigmas;
}

std::vector<double> karras_levels(const LevelRange& range) { return karras_sigmas(range.max, range.min, range.steps); }

}  // namespace sdtorch
