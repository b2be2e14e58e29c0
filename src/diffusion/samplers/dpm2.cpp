#include "diffusion/prediction.hpp"
#include "diffusion/samplers/samplers.hpp"
#include "diffusion/samplers/step.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {

void plan_dpm2(SamplingPlan& plan) {
  plan_sigmas(plan, {});
  round_karras_timesteps(plan);
  add_second_calls(plan, halfways(plan));
}

/// DPM-Solver-2 (Lu et al. 2022a, Algorithm 1) as a midpoint rule on the probability-flow ODE of Karras et al. 2022:
/// the slope is taken halfway in log sigma (Katherine Crowson's k-diffusion, sample_dpm_2, without churn).
at::Tensor sample_dpm2(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  const Prediction prediction = plan.config.prediction_type;
  size_t call = 0;
  for (size_t i = 0; i + 1 < plan.sigmas.size(); ++i) {
    const auto sigma = static_cast<float>(plan.sigmas[i]), next = static_cast<float>(plan.sigmas[i + 1]);
    const double timestep = plan.timesteps[call++];
    const at::Tensor output = evaluate_at_sigma(model, x, timestep, sigma);
    const at::Tensor x0 = predicted_x0_at_sigma(prediction, output, x, sigma);
    at::Tensor slope = (x - x0) / sigma;
    if (const float halfway = halfway_sigma(sigma, next); halfway > 0) {
      const at::Tensor ahead = x + slope * (halfway - sigma);
      const at::Tensor output_ahead = evaluate_at_sigma(model, ahead, plan.timesteps[call++], halfway);
      slope = (ahead - predicted_x0_at_sigma(prediction, output_ahead, ahead, halfway)) / halfway;
    }
    x = x + slope * (next - sigma);
    report(context, plan, i, timestep, x, x0);
  }
  return x;
}

}  // namespace sdtorch
