#include "diffusion/handover.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace sdtorch {
namespace {

/// The timestep at which the share is passed, in diffusers' arithmetic: halves are rounded to even.
double cutoff(const SamplingPlan& plan, double share) {
  const auto total = static_cast<double>(plan.config.num_train_timesteps);
  return std::nearbyint(total - share * total);
}

/// Network calls of a step: one, or two of which the second is the last step's none (Heun's method).
size_t calls_per_step(const SamplingPlan& plan) {
  const size_t steps = plan.sigmas.size() - 1;
  if (plan.timesteps.size() == steps) return 1;
  if (plan.sampler->cut_within_step && plan.timesteps.size() == 2 * steps - 1) return 2;
  throw Error(ErrorKind::usage,
              {.file = "--refiner",
               .reason = fmt::format("{} cannot be handed over from one model to another", plan.sampler->name),
               .hint = "choose another --sampler, such as euler or dpm++2m"});
}

/// Keeps the steps that hold the calls first…last-1.
void keep_calls(SamplingPlan& plan, size_t first, size_t last) {
  const size_t per_step = calls_per_step(plan);
  const auto first_step = static_cast<std::ptrdiff_t>(first / per_step);
  const auto last_step = static_cast<std::ptrdiff_t>((last + per_step - 1) / per_step);
  plan.earlier.insert(plan.earlier.end(), plan.sigmas.begin(), plan.sigmas.begin() + first_step);
  plan.sigmas = {plan.sigmas.begin() + first_step, plan.sigmas.begin() + last_step + 1};
  plan.timesteps = {plan.timesteps.begin() + static_cast<std::ptrdiff_t>(first),
                    plan.timesteps.begin() + static_cast<std::ptrdiff_t>(last)};
}

}  // namespace

SamplingPlan plan_until(SamplingPlan plan, double share) {
  const double end = cutoff(plan, share);
  const auto calls = std::ranges::count_if(plan.timesteps, [&](double t) { return t >= end; });
  keep_calls(plan, 0, static_cast<size_t>(calls));
  return plan;
}

SamplingPlan plan_from(SamplingPlan plan, double share) {
  const double start = cutoff(plan, share);
  auto calls = static_cast<size_t>(std::ranges::count_if(plan.timesteps, [&](double t) { return t < start; }));
  // A step of two calls begins with the first of them, even where that lies above the cut.
  if (calls_per_step(plan) == 2 && calls % 2 == 0) ++calls;
  keep_calls(plan, plan.timesteps.size() - calls, plan.timesteps.size());
  return plan;
}

at::Tensor continue_sampling(const SamplingPlan& plan, const Model& model, const at::Tensor& latent,
                             SamplerContext& context) {
  return plan.sampler->sample(model, latent, plan, context);
}

}  // namespace sdtorch
