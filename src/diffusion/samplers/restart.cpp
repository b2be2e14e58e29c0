#include <cmath>

#include "diffusion/noise_schedule.hpp"
#include "diffusion/samplers/step.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {
namespace {

/// The restarts that are worth their steps: none for short runs, one from 20 steps on and two from 36 on.
struct Restarts {
  int64_t times = 0;
  int64_t steps = 0;  ///< of each
};
Restarts restarts_of(int64_t steps) {
  if (steps < 20) return {};
  return steps < 36 ? Restarts{.times = 1, .steps = 9} : Restarts{.times = 2, .steps = steps / 4};
}

/// The index of the level nearest to `wanted`, of the first where two are as near.
size_t nearest_level(const std::vector<double>& sigmas, double wanted) {
  size_t nearest = 0;
  for (size_t i = 1; i < sigmas.size(); ++i) {
    if (std::abs(sigmas[i] - wanted) < std::abs(sigmas[nearest] - wanted)) nearest = i;
  }
  return nearest;
}

void plan_restart(SamplingPlan& plan) {
  constexpr double low = 0.1, high = 2;  // the interval that is gone through again
  if (!plan.listed.empty()) {
    throw Error(ErrorKind::usage, {.place = "sigmas", .reason = "restart lays out its levels itself"});
  }
  plan_sigmas(plan, {.bounds = LevelBounds::training});
  const Restarts restarts = restarts_of(plan.steps);
  std::vector<double> main = plan.sigmas;
  if (restarts.times > 0) {
    main = karras_sigmas(main.front(), main[main.size() - 2], plan.steps - restarts.times * restarts.steps);
    main.push_back(plan.sigmas.back());
  }
  const size_t bottom = nearest_level(main, low), top = nearest_level(main, high);
  plan.sigmas.clear();
  plan.ends.clear();
  for (size_t i = 0; i + 1 < main.size(); ++i) {
    plan.sigmas.push_back(main[i]);
    plan.ends.push_back(main[i + 1]);
    if (i + 1 != bottom || top >= bottom) continue;
    std::vector<double> again = karras_sigmas(main[top], main[bottom], restarts.steps + 1);
    again.back() = main[bottom];  // exactly, so that no noise is due where the main way goes on
    for (int64_t k = 0; k < restarts.times * restarts.steps; ++k) {
      const auto step = static_cast<size_t>(k % restarts.steps);
      plan.sigmas.push_back(again[step]);
      plan.ends.push_back(again[step + 1]);
    }
  }
  plan.steps = std::ssize(plan.sigmas);
  plan.sigmas.push_back(main.back());
  for (double& sigma : plan.sigmas) sigma = static_cast<float>(sigma);
  for (double& sigma : plan.ends) sigma = static_cast<float>(sigma);
  const std::vector<float> logs = logarithms(training_sigmas(plan));
  plan.timesteps.clear();
  for (size_t i = 0; i < plan.ends.size(); ++i) {
    plan.timesteps.push_back(static_cast<float>(timestep_of_level(plan, plan.sigmas[i], logs)));
    if (plan.ends[i] > 0) plan.timesteps.push_back(static_cast<float>(timestep_of_level(plan, plan.ends[i], logs)));
  }
}

/// Which levels are gone through again depends on the whole way.
[[noreturn]] void begin_restart_at(SamplingPlan& /*plan*/, int64_t /*first*/) {
  throw Error(ErrorKind::usage, {.place = "sampler",
                                 .reason = "restart cannot begin in the middle",
                                 .hint = "heun is the same method without the restarts"});
}

/// Restart sampling (Xu et al. 2023, Algorithm 1): Heun's method down the probability-flow ODE; after the middle of the
/// way is done, noise takes x back up to its beginning, and it is gone through again, which contracts the errors that
/// have built up. Which steps restart is in the plan: those of A1111's sampler of this name.
at::Tensor sample_restart(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  SamplerRun run(model, plan, context);
  for (size_t i = 0; i < run.steps(); ++i) {
    const float sigma = run.sigma(i);
    const auto end = static_cast<float>(plan.ends[i]);
    if (const auto last = static_cast<float>(i > 0 ? plan.ends[i - 1] : sigma); last < sigma) {
      x = x + run.unit_noise(x) * root(sigma * sigma - last * last);
    }
    const at::Tensor x0 = run.x0_at_sigma(i, x, sigma);
    at::Tensor slope = (x - x0) / sigma;
    if (end > 0) {
      const at::Tensor ahead = x + slope * (end - sigma);
      slope = (slope + (ahead - run.x0_at_sigma(i, ahead, end)) / end) / 2;
    }
    x = x + slope * (end - sigma);
    x = run.finish_step(i, x, x0);
  }
  return x;
}

}  // namespace

extern constinit const Sampler restart_sampler{
    .name = "restart",
    .label = "Restart",
    .aliases = {"krestart"},
    .has_schedules = true,
    .exploding = true,
    .calls_per_step = 2,
    .plan = plan_restart,
    .sample = sample_restart,
    .begin_at = begin_restart_at,
};

}  // namespace sdtorch
