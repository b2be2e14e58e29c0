#include "diffusion/prediction.hpp"
#include "diffusion/samplers/samplers.hpp"
#include "diffusion/samplers/step.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {

void plan_euler_a(SamplingPlan& plan) { plan_sigmas(plan, {.bounds = LevelBounds::training}); }

/// Ancestral sampling with Euler steps: down to sigma_down, then up to the next level by fresh noise (see
/// ancestral_step). Noise is drawn at the last step too, where it has no weight.
at::Tensor sample_euler_a(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  for (size_t i = 0; i + 1 < plan.sigmas.size(); ++i) {
    const auto sigma = static_cast<float>(plan.sigmas[i]), next = static_cast<float>(plan.sigmas[i + 1]);
    const at::Tensor output = evaluate_at_sigma(model, x, plan.timesteps[i], sigma);
    const at::Tensor x0 = predicted_x0_at_sigma(plan.config.prediction_type, output, x, sigma);
    const auto [down, up] = ancestral_step(sigma, next);
    x = x + (x - x0) / sigma * (down - sigma) + unit_noise(context, x) * up;
    report(context, plan, i, plan.timesteps[i], x, x0);
  }
  return x;
}

}  // namespace sdtorch
