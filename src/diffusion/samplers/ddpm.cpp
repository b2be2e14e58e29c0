#include <algorithm>
#include <cmath>

#include "diffusion/noise_schedule.hpp"
#include "diffusion/samplers/alpha_bar_plan.hpp"
#include "diffusion/samplers/step.hpp"
#include "diffusion/timesteps.hpp"

namespace sdtorch {
namespace {

void plan_ddpm(SamplingPlan& plan) {
  std::string& type = plan.config.variance_type;
  if (type.empty()) type = "fixed_small";
  if (type != "fixed_small" && type != "fixed_small_log" && type != "fixed_large") {
    throw unsupported(plan.config, "variance_type",
                      "expected fixed_small, fixed_small_log or fixed_large, found " + type,
                      "learned variances need a network that predicts them, and fixed_large_log is not a number");
  }
  plan.timesteps = whole_timesteps(plan.config, plan.steps);
  plan_alpha_bars(plan, plan.timesteps, 1);
}

/// sigma_t of Ho et al. 2020, section 3.2: beta_t (fixed_large), or beta_t (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t).
float noise_deviation(const std::string& type, float alpha_bar, float previous, float beta) {
  if (type == "fixed_large") return root(beta);
  constexpr float smallest = 1e-20F;  // so that its logarithm exists
  const float variance = std::max((1 - previous) / (1 - alpha_bar) * beta, smallest);
  return type == "fixed_small_log" ? std::exp(0.5F * std::log(variance)) : root(variance);
}

/// Ancestral sampling (Ho et al. 2020, Algorithm 2, with the mean of eq. 7, over the timesteps that are visited).
at::Tensor sample_ddpm(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  SamplerRun run(model, plan, context);
  const std::vector<double> whole = whole_timesteps(plan.config, plan.steps);  // the plan may be a part of them
  for (size_t i = 0; i < run.steps(); ++i) {
    const auto t = static_cast<int64_t>(run.timestep());
    const float alpha_bar = alpha_bar_at(plan, t);
    const size_t following = run.place(i) + 1;
    const float previous = following < whole.size() ? alpha_bar_at(plan, static_cast<int64_t>(whole[following])) : 1;
    const float alpha = alpha_bar / previous, beta = 1 - alpha;
    const at::Tensor x0 = limited(plan.config, run.evaluate(i, x, mixture_of_alpha_bar(alpha_bar)).x0);
    x = root(previous) * beta / (1 - alpha_bar) * x0 + root(alpha) * (1 - previous) / (1 - alpha_bar) * x;
    if (t > 0) x = x + noise_deviation(plan.config.variance_type, alpha_bar, previous, beta) * run.unit_noise(x);
    x = run.finish_step(i, x, x0);
  }
  return x;
}

}  // namespace

extern constinit const Sampler ddpm_sampler{
    .name = "ddpm",
    .label = "DDPM",
    .aliases = {"kddpm"},
    .diffusers_class = "DDPMScheduler",
    .defaults = {.timestep_spacing = Spacing::leading, .clip_sample = true},
    .plan = plan_ddpm,
    .sample = sample_ddpm,
};

}  // namespace sdtorch
