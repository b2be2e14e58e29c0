#include "diffusion/samplers/step.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {
namespace {

void plan_dpm2_a(SamplingPlan& plan) {
  plan_sigmas(plan, {});
  round_karras_timesteps(plan);
  add_second_calls(plan, ancestral_halfways(plan));
}

/// Ancestral sampling with steps of DPM-Solver-2: the midpoint rule of dpm2 down to sigma_down, then up to the next
/// level by fresh noise (Katherine Crowson's k-diffusion, sample_dpm_2_ancestral).
at::Tensor sample_dpm2_a(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  SamplerRun run(model, plan, context);
  for (size_t i = 0; i < run.steps(); ++i) {
    const float sigma = run.sigma(i), next = run.sigma(i + 1);
    const auto [down, up] = ancestral_step(sigma, next);
    const at::Tensor x0 = run.x0_at_sigma(i, x, sigma);
    at::Tensor slope = (x - x0) / sigma;
    if (const float halfway = halfway_sigma(sigma, down); halfway > 0) {
      const at::Tensor ahead = run.within_step(x + slope * (halfway - sigma), run.sigma(i + 1));
      slope = (ahead - run.x0_at_sigma(i, ahead, halfway)) / halfway;
    }
    x = x + slope * (down - sigma);
    if (next > 0) x = x + run.unit_noise(x) * up;
    x = run.finish_step(i, x, x0);
  }
  return x;
}

}  // namespace

extern constinit const Sampler dpm2_a_sampler{
    .name = "dpm2_a",
    .label = "DPM2 a",
    .aliases = {"dpm2ancestral", "kdpm2a", "kdpm2ancestral"},
    .diffusers_class = "KDPM2AncestralDiscreteScheduler",
    .defaults = {.beta_start = 0.00085, .beta_end = 0.012},
    .has_schedules = true,
    .reads_schedule_keys = true,
    .supports_x0 = false,
    .supports_zero_snr = false,
    .exploding = true,
    .calls_per_step = 2,
    .plan = plan_dpm2_a,
    .sample = sample_dpm2_a,
};

}  // namespace sdtorch
