#include "diffusion/samplers/consistency_plan.hpp"

#include <fmt/format.h>

#include "diffusion/samplers/alpha_bar_plan.hpp"

namespace sdtorch {

std::vector<double> consistency_timesteps(const SamplingPlan& plan) {
  const int64_t original = plan.config.original_inference_steps;
  const int64_t stride = plan.config.num_train_timesteps / original;
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
  const int64_t original = config.original_inference_steps, total = config.num_train_timesteps;
  if (original > total) {
    throw unsupported(config, "original_inference_steps",
                      fmt::format("{} is more than num_train_timesteps, {}", original, total));
  }
  if (plan.steps > original) {
    throw Error(ErrorKind::usage,
                {.file = "--steps",
                 .reason = fmt::format("{} takes at most {} here (original_inference_steps), found {}",
                                       plan.sampler->name, original, plan.steps),
                 .hint = "4 to 8 are what such models are made for"});
  }
  plan.timesteps = consistency_timesteps(plan);
  plan_alpha_bars(plan, plan.timesteps, final_alpha_bar);
}

}  // namespace sdtorch
