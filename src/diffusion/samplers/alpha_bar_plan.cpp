#include "diffusion/samplers/alpha_bar_plan.hpp"

#include <fmt/format.h>

#include "diffusion/noise_schedule.hpp"

namespace sdtorch {

float final_alpha_bar(const SamplingPlan& plan) { return plan.config.set_alpha_to_one ? 1 : plan.alpha_bar.front(); }

float alpha_bar_at(const SamplingPlan& plan, int64_t timestep) {
  return timestep < 0 ? final_alpha_bar(plan) : plan.alpha_bar.at(static_cast<size_t>(timestep));
}

void plan_alpha_bars(SamplingPlan& plan, std::span<const double> step_timesteps, float final_alpha_bar) {
  const int64_t total = plan.config.num_train_timesteps;
  for (const double t : plan.timesteps) {
    if (t < static_cast<double>(total)) continue;
    throw Error(ErrorKind::usage,
                {.place = "steps",
                 .reason = fmt::format("{} steps with {} spacing ask for timestep {}, and the model has {} (0 to {})",
                                       plan.steps, to_string(plan.config.timestep_spacing), t, total, total - 1),
                 .hint = "take fewer steps or another {spacing}"});
  }
  plan.sigmas.clear();
  for (const double t : step_timesteps) {
    const float alpha_bar = alpha_bar_at(plan, static_cast<int64_t>(t));
    const bool bounded = plan.config.clip_sample || plan.config.thresholding;
    if (alpha_bar == 0 && plan.config.prediction_type == Prediction::epsilon && !bounded) {
      throw unsupported(plan.config, "rescale_betas_zero_snr",
                        fmt::format("timestep {} is pure noise, from which a prediction of the noise tells nothing", t),
                        "use {prediction} v if the model predicts v, or {spacing} leading");
    }
    plan.sigmas.push_back(sigma_of(alpha_bar));
  }
  plan.sigmas.push_back(sigma_of(final_alpha_bar));
  plan.init_noise_sigma = 1;
}

namespace {

/// Of the model's own steps, those that the plan's lie in.
int64_t original_steps(const SamplingPlan& plan) {
  return static_cast<int64_t>(static_cast<double>(plan.config.original_inference_steps) * plan.share);
}

}  // namespace

std::vector<double> consistency_timesteps(const SamplingPlan& plan) {
  const int64_t original = original_steps(plan);
  const int64_t stride = plan.config.num_train_timesteps / plan.config.original_inference_steps;
  const double skip = static_cast<double>(original) / static_cast<double>(plan.steps);
  std::vector<double> timesteps;
  for (int64_t i = 0; i < plan.steps; ++i) {
    const auto back = static_cast<int64_t>(static_cast<double>(i) * skip);
    timesteps.push_back(static_cast<double>((original - back) * stride - 1));
  }
  return timesteps;
}

void plan_consistency(SamplingPlan& plan, float final_alpha_bar) {
  const SchedulerConfig& config = plan.config;
  const int64_t original = original_steps(plan), total = config.num_train_timesteps;
  if (config.original_inference_steps > total) {
    throw unsupported(config, "original_inference_steps",
                      fmt::format("{} is more than num_train_timesteps, {}", config.original_inference_steps, total));
  }
  if (plan.steps > original) {
    throw Error(
        ErrorKind::usage,
        {.place = "steps",
         .reason = fmt::format("{} takes at most {} here (original_inference_steps{}), found {}", plan.sampler->name,
                               original, plan.share < 1 ? " times {strength}" : "", plan.steps),
         .hint = "4 to 8 are what such models are made for"});
  }
  plan.timesteps = consistency_timesteps(plan);
  plan_alpha_bars(plan, plan.timesteps, final_alpha_bar);
}

}  // namespace sdtorch
