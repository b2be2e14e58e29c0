#include <cmath>

#include "diffusion/schedules/schedules.hpp"
#include "diffusion/timesteps.hpp"

namespace sdtorch {

/// Timesteps evenly from the last towards the first, which is left out: steps + 1 of them less one, as Stability's
/// generative-models space them. Between training timesteps log sigma is linear, as in k-diffusion's DiscreteSchedule.
std::vector<double> sgm_uniform_levels(const LevelRange& range) {
  const auto last = static_cast<double>(range.training.size() - 1);
  std::vector<double> sigmas = linspace(last, 0, range.steps + 1);
  sigmas.pop_back();
  for (double& sigma : sigmas) {
    const double low = std::floor(sigma), weight = sigma - low;
    const double here = std::log(range.training[static_cast<size_t>(low)]);
    const double next = std::log(range.training[static_cast<size_t>(std::ceil(sigma))]);
    sigma = std::exp((1 - weight) * here + weight * next);
  }
  return sigmas;
}

}  // namespace sdtorch
