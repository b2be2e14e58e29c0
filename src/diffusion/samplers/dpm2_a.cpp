#include <vector>

#include "diffusion/prediction.hpp"
#include "diffusion/samplers/samplers.hpp"
#include "diffusion/samplers/step.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {

void plan_dpm2_a(SamplingPlan& plan) {
  plan_sigmas(plan, {});
  round_karras_timesteps(plan);
  add_second_calls(plan, ancestral_halfways(plan));
}

/// Ancestral sampling with steps of DPM-Solver-2: the midpoint rule of dpm2 down to sigma_down, then up to the next
/// level by fresh noise (Katherine Crowson's k-diffusion, sample_dpm_2_ancestral).
at::Tensor sample_dpm2_a(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  const Prediction prediction = plan.config.prediction_type;
  size_t call = 0;
  for (size_t i = 0; i + 1 < plan.sigmas.size(); ++i) {
    const auto sigma = static_cast<float>(plan.sigmas[i]), next = static_cast<float>(plan.sigmas[i + 1]);
    const auto [down, up] = ancestral_step(sigma, next);
    const double timestep = plan.timesteps[call++];
    const at::Tensor output = evaluate_at_sigma(model, x, timestep, sigma);
    const at::Tensor x0 = predicted_x0_at_sigma(prediction, output, x, sigma);
    at::Tensor slope = (x - x0) / sigma;
    if (const float halfway = halfway_sigma(sigma, down); halfway > 0) {
      const at::Tensor ahead = x + slope * (halfway - sigma);
      const at::Tensor output_ahead = evaluate_at_sigma(model, ahead, plan.timesteps[call++], halfway);
      slope = (ahead - predicted_x0_at_sigma(prediction, output_ahead, ahead, halfway)) / halfway;
    }
    x = x + slope * (down - sigma);
    if (next > 0) x = x + unit_noise(context, x) * up;
    report(context, plan, i, timestep, x, x0);
  }
  return x;
}

}  // namespace sdtorch
