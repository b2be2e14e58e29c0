#include <cmath>

#include "diffusion/noise_schedule.hpp"
#include "diffusion/samplers/alpha_bar_plan.hpp"
#include "diffusion/samplers/step.hpp"

namespace sdtorch {
namespace {

void plan_tcd(SamplingPlan& plan) { plan_consistency(plan, plan.alpha_bar.front()); }

/// Strategic stochastic sampling of trajectory consistency distillation (Zheng et al. 2024, Algorithm 4): each step
/// goes along the trajectory to a timestep s = (1 - eta) t' beyond the next one, t', and back up to that by noise. eta,
/// the paper's gamma, is 0 for no noise and 1 for as much as LCM's.
at::Tensor sample_tcd(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  SamplerRun run(model, plan, context);
  const std::vector<double> whole = consistency_timesteps(plan);
  for (size_t i = 0; i < run.steps(); ++i) {
    const size_t following = run.place(i) + 1;
    const bool last = following == whole.size();
    const double next = last ? 0 : whole[following];
    const auto s = static_cast<int64_t>(std::floor(static_cast<float>(1 - plan.eta) * static_cast<float>(next)));
    const Mixture here = mixture_of_alpha_bar(alpha_bar_at(plan, static_cast<int64_t>(run.timestep())));
    const float alpha_bar = alpha_bar_at(plan, s), next_alpha_bar = alpha_bar_at(plan, static_cast<int64_t>(next));
    const Mixture beyond = mixture_of_alpha_bar(alpha_bar);
    const Evaluation said = run.evaluate(i, x, here);
    x = beyond.signal * said.x0 + beyond.noise * said.eps;
    if (plan.eta > 0 && !last) {
      const Mixture back = mixture_of_alpha_bar(next_alpha_bar / alpha_bar);
      x = back.signal * x + back.noise * run.unit_noise(x);
    }
    x = run.finish_step(i, x, said.x0);
  }
  return x;
}

}  // namespace

extern constinit const Sampler tcd_sampler{
    .name = "tcd",
    .label = "TCD",
    .aliases = {"ktcd"},
    .diffusers_class = "TCDScheduler",
    .defaults = {.beta_start = 0.00085, .beta_end = 0.012, .beta_schedule = "scaled_linear"},
    .uses_eta = true,
    .uses_spacing = false,
    .plan = plan_tcd,
    .sample = sample_tcd,
};

}  // namespace sdtorch
