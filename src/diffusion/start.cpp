#include "diffusion/start.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "diffusion/noise_schedule.hpp"

namespace sdtorch {
namespace {

/// The timestep at which the share is passed, in diffusers' arithmetic: halves are rounded to even.
double cutoff(const SamplingPlan& plan, double share) {
  const auto total = static_cast<double>(plan.config.num_train_timesteps);
  return std::nearbyint(total - share * total);
}

/// How many calls make a step where the calls may be cut anywhere.
size_t cuttable_calls(const SamplingPlan& plan) {
  const Sampler& sampler = *plan.sampler;
  if (!sampler.begin_at && (sampler.calls_per_step == 1 || sampler.cut_within_step)) {
    return static_cast<size_t>(sampler.calls_per_step);
  }
  throw Error(ErrorKind::usage,
              {.place = "refiner",
               .reason = fmt::format("{} cannot be handed over from one model to another", sampler.name),
               .hint = "choose another {sampler}, such as euler or dpm++2m"});
}

/// Keeps the steps that hold the calls first…last-1.
void keep_calls(SamplingPlan& plan, size_t first, size_t last) {
  const auto per_step = static_cast<size_t>(plan.sampler->calls_per_step);
  const auto first_step = static_cast<std::ptrdiff_t>(first / per_step);
  const auto last_step = static_cast<std::ptrdiff_t>((last + per_step - 1) / per_step);
  plan.earlier.insert(plan.earlier.end(), plan.sigmas.begin(), plan.sigmas.begin() + first_step);
  plan.sigmas = {plan.sigmas.begin() + first_step, plan.sigmas.begin() + last_step + 1};
  plan.timesteps = {plan.timesteps.begin() + static_cast<std::ptrdiff_t>(first),
                    plan.timesteps.begin() + static_cast<std::ptrdiff_t>(last)};
}

}  // namespace

Start start_from_noise(SamplingPlan plan, const at::Tensor& noise) {
  const at::Tensor x = noise * plan.init_noise_sigma;
  return {.plan = std::move(plan), .x = x};
}

Start start_from_picture(SamplingPlan plan, const at::Tensor& x0, const at::Tensor& noise) {
  const at::Tensor x = noised_for_step(plan, x0, noise, 0);
  return {.plan = std::move(plan), .x = x};
}

Start start_from_latent(SamplingPlan plan, const at::Tensor& x) { return {.plan = std::move(plan), .x = x}; }

at::Tensor run_sampler(const Start& start, const Model& model, SamplerContext& context) {
  return start.plan.sampler->sample(model, start.x, start.plan, context);
}

int64_t steps_of(const SamplingPlan& plan) { return std::ssize(plan.sigmas) - 1; }

SamplingPlan plan_from_step(SamplingPlan plan, int64_t first) {
  if (first == 0) return plan;
  if (plan.sampler->begin_at) {
    plan.sampler->begin_at(plan, first);
  } else {
    keep_calls(plan, static_cast<size_t>(first * plan.sampler->calls_per_step), plan.timesteps.size());
  }
  return plan;
}

int64_t first_step_of(double strength, int64_t steps) {
  const auto left = static_cast<int64_t>(static_cast<double>(steps) * strength);
  return std::clamp<int64_t>(steps - left, 0, steps);
}

SamplingPlan plan_until(SamplingPlan plan, double share) {
  cuttable_calls(plan);
  const double end = cutoff(plan, share);
  const auto calls = std::ranges::count_if(plan.timesteps, [&](double t) { return t >= end; });
  keep_calls(plan, 0, static_cast<size_t>(calls));
  return plan;
}

SamplingPlan plan_from(SamplingPlan plan, double share) {
  const double start = cutoff(plan, share);
  auto calls = static_cast<size_t>(std::ranges::count_if(plan.timesteps, [&](double t) { return t < start; }));
  // A step of two calls begins with the first of them, even where that lies above the cut.
  if (cuttable_calls(plan) == 2 && (plan.timesteps.size() - calls) % 2 == 1) ++calls;
  keep_calls(plan, plan.timesteps.size() - calls, plan.timesteps.size());
  return plan;
}

at::Tensor noised_to(const SamplingPlan& plan, const at::Tensor& x0, const at::Tensor& noise, double sigma) {
  if (plan.sampler->exploding) return add_noise_exploding(x0, noise, sigma);
  return add_noise(x0, noise, 1 / (sigma * sigma + 1));
}

at::Tensor noised_for_step(const SamplingPlan& plan, const at::Tensor& x0, const at::Tensor& noise, int64_t step) {
  return noised_to(plan, x0, noise, plan.sigmas.at(static_cast<size_t>(step)));
}

}  // namespace sdtorch
