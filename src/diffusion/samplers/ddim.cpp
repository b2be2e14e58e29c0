
#include "diffusion/noise_schedule.hpp"
#include "diffusion/prediction.hpp"
#include "diffusion/samplers/alpha_bar_plan.hpp"
#include "diffusion/samplers/samplers.hpp"
#include "diffusion/samplers/step.hpp"
#include "diffusion/timesteps.hpp"

namespace sdtorch {

void plan_ddim(SamplingPlan& plan) {
  plan.timesteps = whole_timesteps(plan.config, plan.steps);
  plan_alpha_bars(plan, plan.timesteps, final_alpha_bar(plan));
}

/// Denoising diffusion implicit models (Song et al. 2020, eq. 12 and 16): eta 0 is deterministic, 1 adds as much noise
/// as DDPM. The previous timestep is a training stride back, whatever the spacing.
at::Tensor sample_ddim(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  const Prediction prediction = plan.config.prediction_type;
  const int64_t stride = plan.config.num_train_timesteps / plan.steps;
  const auto eta = static_cast<float>(plan.eta);
  for (size_t i = 0; i < plan.timesteps.size(); ++i) {
    const auto t = static_cast<int64_t>(plan.timesteps[i]);
    const float alpha_bar = alpha_bar_at(plan, t), previous = alpha_bar_at(plan, t - stride);
    const at::Tensor output = model(x, plan.timesteps[i]);
    const Mixture here = mixture_of_alpha_bar(alpha_bar);
    const at::Tensor x0 = limited(plan.config, predicted_x0(prediction, output, x, here));
    const at::Tensor eps = predicted_eps(prediction, output, x, here);
    const float variance = (1 - previous) / (1 - alpha_bar) * (1 - alpha_bar / previous);
    const float deviation = eta * root(variance);
    x = root(previous) * x0 + root(1 - previous - deviation * deviation) * eps;
    if (eta > 0) x = x + deviation * unit_noise(context, x);
    report(context, plan, i, plan.timesteps[i], x, x0);
  }
  return x;
}

}  // namespace sdtorch
