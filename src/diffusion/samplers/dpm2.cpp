#include "diffusion/samplers/step.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {
namespace {

void plan_dpm2(SamplingPlan& plan) {
  plan_sigmas(plan, {});
  round_karras_timesteps(plan);
  add_second_calls(plan, halfways(plan));
}

/// DPM-Solver-2 (Lu et al. 2022a, Algorithm 1) as a midpoint rule on the probability-flow ODE of Karras et al. 2022:
/// the slope is taken halfway in log sigma (Katherine Crowson's k-diffusion, sample_dpm_2, without churn).
at::Tensor sample_dpm2(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  SamplerRun run(model, plan, context);
  for (size_t i = 0; i < run.steps(); ++i) {
    const float sigma = run.sigma(i), next = run.sigma(i + 1);
    const at::Tensor x0 = run.x0_at_sigma(i, x, sigma);
    at::Tensor slope = (x - x0) / sigma;
    if (const float halfway = halfway_sigma(sigma, next); halfway > 0) {
      const at::Tensor ahead = run.within_step(x + slope * (halfway - sigma), run.sigma(i + 1));
      slope = (ahead - run.x0_at_sigma(i, ahead, halfway)) / halfway;
    }
    x = x + slope * (next - sigma);
    x = run.finish_step(i, x, x0);
  }
  return x;
}

}  // namespace

extern constinit const Sampler dpm2_sampler{
    .name = "dpm2",
    .label = "DPM2",
    .aliases = {"kdpm2"},
    .diffusers_class = "KDPM2DiscreteScheduler",
    .defaults = {.beta_start = 0.00085, .beta_end = 0.012},
    .has_schedules = true,
    .reads_schedule_keys = true,
    .supports_x0 = false,
    .supports_zero_snr = false,
    .exploding = true,
    .calls_per_step = 2,
    .plan = plan_dpm2,
    .sample = sample_dpm2,
};

}  // namespace sdtorch
