#include "diffusion/noise_schedule.hpp"
#include "diffusion/samplers/alpha_bar_plan.hpp"
#include "diffusion/samplers/step.hpp"

namespace sdtorch {
namespace {

void plan_lcm(SamplingPlan& plan) { plan_consistency(plan, 1); }

/// Multistep sampling of latent consistency models (Luo et al. 2023, Algorithm 3): each step leaps to the clean latent,
/// mixed with x as the boundary condition says (eq. 9 with sigma_data 1/2), and adds noise for the next timestep.
at::Tensor sample_lcm(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  SamplerRun run(model, plan, context);
  const std::vector<double> whole = consistency_timesteps(plan);
  constexpr float variance = 0.25F;  // sigma_data squared
  for (size_t i = 0; i < run.steps(); ++i) {
    const auto t = static_cast<int64_t>(run.timestep());
    const Evaluation said = run.evaluate(i, x, mixture_of_alpha_bar(alpha_bar_at(plan, t)));
    const at::Tensor x0 = limited(plan.config, said.x0);
    const float scaled = static_cast<float>(t) * static_cast<float>(plan.config.timestep_scaling);
    const float skip = variance / (scaled * scaled + variance), out = scaled / root(scaled * scaled + variance);
    x = out * x0 + skip * x;
    if (const size_t following = run.place(i) + 1; following < whole.size()) {
      const Mixture next = mixture_of_alpha_bar(alpha_bar_at(plan, static_cast<int64_t>(whole[following])));
      x = next.signal * x + next.noise * run.unit_noise(x);
    }
    x = run.finish_step(i, x, x0);
  }
  return x;
}

}  // namespace

extern constinit const Sampler lcm_sampler{
    .name = "lcm",
    .label = "LCM",
    .aliases = {"klcm"},
    .diffusers_class = "LCMScheduler",
    .defaults = {.beta_start = 0.00085, .beta_end = 0.012, .beta_schedule = "scaled_linear"},
    .uses_spacing = false,
    .plan = plan_lcm,
    .sample = sample_lcm,
};

}  // namespace sdtorch
