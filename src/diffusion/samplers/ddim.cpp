#include "diffusion/noise_schedule.hpp"
#include "diffusion/samplers/alpha_bar_plan.hpp"
#include "diffusion/samplers/step.hpp"
#include "diffusion/timesteps.hpp"

namespace sdtorch {
namespace {

void plan_ddim(SamplingPlan& plan) {
  plan.timesteps = whole_timesteps(plan.config, plan.steps);
  plan_alpha_bars(plan, plan.timesteps, final_alpha_bar(plan));
}

/// Denoising diffusion implicit models (Song et al. 2020, eq. 12 and 16): eta 0 is deterministic, 1 adds as much noise
/// as DDPM. The previous timestep is a training stride back, whatever the spacing.
at::Tensor sample_ddim(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  SamplerRun run(model, plan, context);
  const int64_t stride = plan.config.num_train_timesteps / plan.steps;
  const auto eta = static_cast<float>(plan.eta);
  for (size_t i = 0; i < run.steps(); ++i) {
    const auto t = static_cast<int64_t>(run.timestep());
    const float alpha_bar = alpha_bar_at(plan, t), previous = alpha_bar_at(plan, t - stride);
    const Evaluation said = run.evaluate(i, x, mixture_of_alpha_bar(alpha_bar));
    const at::Tensor x0 = limited(plan.config, said.x0);
    const float variance = (1 - previous) / (1 - alpha_bar) * (1 - alpha_bar / previous);
    const float deviation = eta * root(variance);
    const float direction = root(1 - previous - deviation * deviation);
    x = run.renoised(root(previous) * x0 + direction * said.eps, direction);
    if (eta > 0) x = x + deviation * run.unit_noise(x);
    x = run.finish_step(i, x, x0);
  }
  return x;
}

}  // namespace

extern constinit const Sampler ddim_sampler{
    .name = "ddim",
    .label = "DDIM",
    .aliases = {"kddim"},
    .diffusers_class = "DDIMScheduler",
    .defaults = {.timestep_spacing = Spacing::leading, .clip_sample = true},
    .uses_eta = true,
    .renoises_unguided = true,
    .plan = plan_ddim,
    .sample = sample_ddim,
};

}  // namespace sdtorch
