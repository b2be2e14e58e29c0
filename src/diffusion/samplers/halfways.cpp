#include "diffusion/samplers/samplers.hpp"
#include "diffusion/samplers/step.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {

std::vector<float> halfways(const SamplingPlan& plan) {
  std::vector<float> halfway;
  for (size_t i = 0; i + 1 < plan.sigmas.size(); ++i) {
    halfway.push_back(halfway_sigma(static_cast<float>(plan.sigmas[i]), static_cast<float>(plan.sigmas[i + 1])));
  }
  return halfway;
}

std::vector<float> ancestral_halfways(const SamplingPlan& plan) {
  std::vector<float> halfway;
  for (size_t i = 0; i + 1 < plan.sigmas.size(); ++i) {
    const auto sigma = static_cast<float>(plan.sigmas[i]), next = static_cast<float>(plan.sigmas[i + 1]);
    halfway.push_back(halfway_sigma(sigma, ancestral_step(sigma, next).down));
  }
  return halfway;
}

}  // namespace sdtorch
