#include "diffusion/samplers/step.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {
namespace {

void plan_heun(SamplingPlan& plan) {
  plan_sigmas(plan, {});
  std::vector<double> calls{plan.timesteps.front()};
  for (size_t i = 1; i < plan.timesteps.size(); ++i) calls.insert(calls.end(), 2, plan.timesteps[i]);
  if (plan.sigmas.back() > 0) {
    const std::vector<float> training = training_sigmas(plan);
    calls.push_back(static_cast<float>(timestep_of_level(plan, plan.sigmas.back(), logarithms(training))));
  }
  plan.timesteps = std::move(calls);
}

/// Heun's method on the probability-flow ODE (Karras et al. 2022, Algorithm 1, without churn).
/// Two network calls a step, one for the last, if it ends at sigma 0 or is to be taken again by a refiner.
at::Tensor sample_heun(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  SamplerRun run(model, plan, context);
  const auto predict = [&, range = plan.config.clip_sample_range](size_t i, const at::Tensor& noisy, float sigma) {
    const at::Tensor x0 = run.x0_at_sigma(i, noisy, sigma);
    return plan.config.clip_sample ? x0.clamp(-range, range) : x0;
  };
  for (size_t i = 0; i < run.steps(); ++i) {
    const float sigma = run.sigma(i), next = run.sigma(i + 1);
    const at::Tensor x0 = predict(i, x, sigma);
    at::Tensor slope = (x - x0) / sigma;
    if (run.has_call()) {
      const at::Tensor ahead = run.within_step(x + slope * (next - sigma), run.sigma(i + 1));
      slope = (slope + (ahead - predict(i, ahead, next)) / next) / 2;
    }
    x = x + slope * (next - sigma);
    x = run.finish_step(i, x, x0);
  }
  return x;
}

}  // namespace

extern constinit const Sampler heun_sampler{
    .name = "heun",
    .label = "Heun",
    .aliases = {"kheun"},
    .diffusers_class = "HeunDiscreteScheduler",
    .defaults = {.beta_start = 0.00085, .beta_end = 0.012},
    .has_schedules = true,
    .reads_schedule_keys = true,
    .supports_zero_snr = false,
    .exploding = true,
    .calls_per_step = 2,
    .cut_within_step = true,
    .plan = plan_heun,
    .sample = sample_heun,
};

}  // namespace sdtorch
