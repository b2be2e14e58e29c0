#include <cmath>
#include <utility>

#include "diffusion/schedules/schedules.hpp"
#include "diffusion/timesteps.hpp"

namespace sdtorch {
namespace {

/// Levels at timesteps, between which log sigma is linear, as in k-diffusion's DiscreteSchedule.
std::vector<double> levels_at(std::vector<double> sigmas, const LevelRange& range) {
  for (double& sigma : sigmas) {
    const double low = std::floor(sigma), weight = sigma - low;
    const double here = std::log(range.training[static_cast<size_t>(low)]);
    const double next = std::log(range.training[static_cast<size_t>(std::ceil(sigma))]);
    sigma = std::exp((1 - weight) * here + weight * next);
  }
  return sigmas;
}

}  // namespace

/// Timesteps evenly from the last to the first (k-diffusion's own, ComfyUI's `normal`, stable-diffusion.cpp's
/// `discrete`), whatever spacing the model's config asks for.
std::vector<double> normal_levels(const LevelRange& range) {
  return levels_at(linspace(static_cast<double>(range.training.size() - 1), 0, range.steps), range);
}

/// The same from the last towards the first, which is left out: steps + 1 of them less one, as Stability's
/// generative-models space them.
std::vector<double> sgm_uniform_levels(const LevelRange& range) {
  std::vector<double> timesteps = linspace(static_cast<double>(range.training.size() - 1), 0, range.steps + 1);
  timesteps.pop_back();
  return levels_at(std::move(timesteps), range);
}

}  // namespace sdtorch
