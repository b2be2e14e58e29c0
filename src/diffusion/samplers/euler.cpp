#include "diffusion/samplers/step.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {
namespace {

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
  SamplerRun run(model, plan, context);
  for (size_t i = 0; i < run.steps(); ++i) {
    const float sigma = run.sigma(i), next = run.sigma(i + 1);
    const at::Tensor x0 = run.x0_at_sigma(i, x, sigma);
    x = run.renoised(x + (x - x0) / sigma * (next - sigma), next);
    x = run.finish_step(i, x, x0);
  }
  return x;
}

}  // namespace

extern constinit const Sampler euler_sampler{
    .name = "euler",
    .label = "Euler",
    .aliases = {"keuler"},
    .diffusers_class = "EulerDiscreteScheduler",
    .has_schedules = true,
    .reads_schedule_keys = true,
    .renoises_unguided = true,
    .exploding = true,
    .plan = plan_euler,
    .sample = sample_euler,
};

}  // namespace sdtorch
