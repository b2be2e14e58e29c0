#include "diffusion/prediction.hpp"
#include "diffusion/samplers/samplers.hpp"
#include "diffusion/samplers/step.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {

void plan_heun(SamplingPlan& plan) {
  plan_sigmas(plan, {});
  std::vector<double> calls{plan.timesteps.front()};
  for (size_t i = 1; i < plan.timesteps.size(); ++i) calls.insert(calls.end(), 2, plan.timesteps[i]);
  if (plan.sigmas.back() > 0) {
    const std::vector<float> training = training_sigmas(plan.alpha_bar);
    calls.push_back(static_cast<float>(timestep_at(plan.sigmas.back(), logarithms(training))));
  }
  plan.timesteps = std::move(calls);
}

/// Heun's method on the probability-flow ODE (Karras et al. 2022, Algorithm 1, without churn).
/// Two network calls a step, one for the last, if it ends at sigma 0 or is to be taken again by a refiner.
at::Tensor sample_heun(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  const SchedulerConfig& config = plan.config;
  const auto clean = [&](const at::Tensor& output, const at::Tensor& noisy, float sigma) {
    const at::Tensor x0 = predicted_x0_at_sigma(config.prediction_type, output, noisy, sigma);
    return config.clip_sample ? x0.clamp(-config.clip_sample_range, config.clip_sample_range) : x0;
  };
  for (size_t i = 0; i + 1 < plan.sigmas.size(); ++i) {
    const auto sigma = static_cast<float>(plan.sigmas[i]), next = static_cast<float>(plan.sigmas[i + 1]);
    const double timestep = plan.timesteps[2 * i];
    const at::Tensor output = evaluate_at_sigma(model, x, timestep, sigma);
    const at::Tensor x0 = clean(output, x, sigma);
    at::Tensor slope = (x - x0) / sigma;
    if (2 * i + 1 < plan.timesteps.size()) {
      const at::Tensor ahead = x + slope * (next - sigma);
      const at::Tensor output_ahead = evaluate_at_sigma(model, ahead, plan.timesteps[2 * i + 1], next);
      const at::Tensor x0_ahead = clean(output_ahead, ahead, next);
      slope = (slope + (ahead - x0_ahead) / next) / 2;
    }
    x = x + slope * (next - sigma);
    report(context, plan, i, timestep, x, x0);
  }
  return x;
}

}  // namespace sdtorch
