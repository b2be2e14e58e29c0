#include "diffusion/samplers/step.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {
namespace {

void plan_euler_a(SamplingPlan& plan) { plan_sigmas(plan, {.bounds = LevelBounds::training}); }

/// Ancestral sampling with Euler steps: down to sigma_down, then up to the next level by fresh noise (see
/// ancestral_step). Noise is drawn at the last step too, where it has no weight.
at::Tensor sample_euler_a(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  SamplerRun run(model, plan, context);
  for (size_t i = 0; i < run.steps(); ++i) {
    const float sigma = run.sigma(i);
    const at::Tensor x0 = run.x0_at_sigma(i, x, sigma);
    const auto [down, up] = ancestral_step(sigma, run.sigma(i + 1));
    x = run.renoised(x + (x - x0) / sigma * (down - sigma), down) + run.unit_noise(x) * up;
    x = run.finish_step(i, x, x0);
  }
  return x;
}

}  // namespace

extern constinit const Sampler euler_a_sampler{
    .name = "euler_a",
    .label = "Euler a",
    .aliases = {"eulerancestral", "keulera", "keulerancestral"},
    .diffusers_class = "EulerAncestralDiscreteScheduler",
    .has_schedules = true,
    .supports_x0 = false,
    .renoises_unguided = true,
    .exploding = true,
    .plan = plan_euler_a,
    .sample = sample_euler_a,
};

}  // namespace sdtorch
