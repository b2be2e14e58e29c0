#include "diffusion/noise_schedule.hpp"
#include "diffusion/prediction.hpp"
#include "diffusion/samplers/samplers.hpp"
#include "diffusion/samplers/step.hpp"

namespace sdtorch {

/// Restart sampling (Xu et al. 2023, Algorithm 1): Heun's method down the probability-flow ODE; after the middle of the
/// way is done, noise takes x back up to its beginning, and it is gone through again, which contracts the errors that
/// have built up. Which steps restart is in the plan: those of A1111's sampler of this name.
at::Tensor sample_restart(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  const Prediction prediction = plan.config.prediction_type;
  size_t call = 0;
  for (size_t i = 0; i + 1 < plan.sigmas.size(); ++i) {
    const auto sigma = static_cast<float>(plan.sigmas[i]), end = static_cast<float>(plan.ends[i]);
    if (const auto last = static_cast<float>(i > 0 ? plan.ends[i - 1] : sigma); last < sigma) {
      x = x + unit_noise(context, x) * root(sigma * sigma - last * last);
    }
    const double timestep = plan.timesteps[call++];
    const at::Tensor output = evaluate_at_sigma(model, x, timestep, sigma);
    const at::Tensor x0 = predicted_x0_at_sigma(prediction, output, x, sigma);
    at::Tensor slope = (x - x0) / sigma;
    if (end > 0) {
      const at::Tensor ahead = x + slope * (end - sigma);
      const at::Tensor output_ahead = evaluate_at_sigma(model, ahead, plan.timesteps[call++], end);
      slope = (slope + (ahead - predicted_x0_at_sigma(prediction, output_ahead, ahead, end)) / end) / 2;
    }
    x = x + slope * (end - sigma);
    report(context, plan, i, timestep, x, x0);
  }
  return x;
}

}  // namespace sdtorch
