#include "diffusion/prediction.hpp"
#include "diffusion/samplers/samplers.hpp"
#include "diffusion/samplers/step.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {

void plan_dpmpp_2s_a(SamplingPlan& plan) {
  plan_sigmas(plan, {.bounds = LevelBounds::training});
  add_second_calls(plan, ancestral_halfways(plan));
}

/// Ancestral sampling with second-order single steps of DPM-Solver++ (Lu et al. 2022b, Algorithm 1 with r = 1/2): down
/// to sigma_down over a point halfway in log sigma, then up to the next level by fresh noise (Katherine Crowson's
/// k-diffusion, sample_dpmpp_2s_ancestral). The last step is one of Euler's and draws none.
at::Tensor sample_dpmpp_2s_a(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  const Prediction prediction = plan.config.prediction_type;
  size_t call = 0;
  for (size_t i = 0; i + 1 < plan.sigmas.size(); ++i) {
    const auto sigma = static_cast<float>(plan.sigmas[i]), next = static_cast<float>(plan.sigmas[i + 1]);
    const auto [down, up] = ancestral_step(sigma, next);
    const double timestep = plan.timesteps[call++];
    const at::Tensor output = evaluate_at_sigma(model, x, timestep, sigma);
    const at::Tensor x0 = predicted_x0_at_sigma(prediction, output, x, sigma);
    // In both steps x goes towards the prediction as far as sigma shrinks: exact for a prediction that does not change.
    if (const float halfway = halfway_sigma(sigma, down); halfway > 0) {
      const at::Tensor ahead = halfway / sigma * x + (1 - halfway / sigma) * x0;
      const at::Tensor output_ahead = evaluate_at_sigma(model, ahead, plan.timesteps[call++], halfway);
      const at::Tensor x0_ahead = predicted_x0_at_sigma(prediction, output_ahead, ahead, halfway);
      x = down / sigma * x + (1 - down / sigma) * x0_ahead;
    } else {
      x = x0;
    }
    if (next > 0) x = x + unit_noise(context, x) * up;
    report(context, plan, i, timestep, x, x0);
  }
  return x;
}

}  // namespace sdtorch
