#include "diffusion/samplers/step.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {
namespace {

void plan_dpmpp_2s_a(SamplingPlan& plan) {
  plan_sigmas(plan, {.bounds = LevelBounds::training});
  add_second_calls(plan, ancestral_halfways(plan));
}

/// Ancestral sampling with second-order single steps of DPM-Solver++ (Lu et al. 2022b, Algorithm 1 with r = 1/2): down
/// to sigma_down over a point halfway in log sigma, then up to the next level by fresh noise (Katherine Crowson's
/// k-diffusion, sample_dpmpp_2s_ancestral). The last step is one of Euler's and draws none.
at::Tensor sample_dpmpp_2s_a(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  SamplerRun run(model, plan, context);
  for (size_t i = 0; i < run.steps(); ++i) {
    const float sigma = run.sigma(i), next = run.sigma(i + 1);
    const auto [down, up] = ancestral_step(sigma, next);
    const at::Tensor x0 = run.x0_at_sigma(i, x, sigma);
    // In both steps x goes towards the prediction as far as sigma shrinks: exact for a prediction that does not change.
    if (const float halfway = halfway_sigma(sigma, down); halfway > 0) {
      const at::Tensor ahead = halfway / sigma * x + (1 - halfway / sigma) * x0;
      x = down / sigma * x + (1 - down / sigma) * run.x0_at_sigma(i, ahead, halfway);
    } else {
      x = x0;
    }
    if (next > 0) x = x + run.unit_noise(x) * up;
    x = run.finish_step(i, x, x0);
  }
  return x;
}

}  // namespace

extern constinit const Sampler dpmpp_2s_a_sampler{
    .name = "dpm++2s_a",
    .label = "DPM++ 2S a",
    .aliases = {"dpmpp2sa", "dpmpp2sancestral", "kdpmpp2sa", "kdpmpp2sancestral", "dpm++2sancestral", "kdpm++2sa"},
    .has_schedules = true,
    .exploding = true,
    .calls_per_step = 2,
    .plan = plan_dpmpp_2s_a,
    .sample = sample_dpmpp_2s_a,
};

}  // namespace sdtorch
