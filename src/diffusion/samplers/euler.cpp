#include "diffusion/prediction.hpp"
#include "diffusion/samplers/samplers.hpp"
#include "diffusion/samplers/step.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {

void plan_euler(SamplingPlan& plan) {
  const SchedulerConfig& config = plan.config;
  if (config.interpolation_type != "linear") {
    throw unsupported(config, "interpolation_type", "expected linear, found " + config.interpolation_type);
  }
  if (config.timestep_type != "discrete" && config.prediction_type == Prediction::v) {
    throw unsupported(config, "timestep_type", "expected discrete, found " + config.timestep_type);
  }
  plan_sigmas(plan, {.last = final_sigma(plan)});
}

/// Euler's method on the probability-flow ODE dx/dsigma = (x - x0(x, sigma)) / sigma
/// (Karras et al. 2022, Algorithm 2 without churn and without its second-order correction).
at::Tensor sample_euler(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  for (size_t i = 0; i + 1 < plan.sigmas.size(); ++i) {
    const auto sigma = static_cast<float>(plan.sigmas[i]), next = static_cast<float>(plan.sigmas[i + 1]);
    const at::Tensor output = evaluate_at_sigma(model, x, plan.timesteps[i], sigma);
    const at::Tensor x0 = predicted_x0_at_sigma(plan.config.prediction_type, output, x, sigma);
    x = x + (x - x0) / sigma * (next - sigma);
    report(context, plan, i, plan.timesteps[i], x, x0);
  }
  return x;
}

}  // namespace sdtorch
