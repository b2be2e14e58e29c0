#include "dpm_solver_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "samplers.hpp"
#include "sdtorch/diffusion/noise_schedule.hpp"
#include "sdtorch/diffusion/sigma_schedule.hpp"
#include "sdtorch/diffusion/timesteps.hpp"

namespace sdtorch {
namespace {

/// Settles the config's variant, names of related solvers included, as diffusers maps them.
void settle_variant(SchedulerConfig& config) {
  require_plain_sigmas(config);
  if (config.use_flow_sigmas) throw unsupported(config, "use_flow_sigmas", "flow matching is not supported");
  if (config.algorithm_type == "deis") config.algorithm_type = "dpmsolver++";
  if (config.algorithm_type != "dpmsolver++" && config.algorithm_type != "dpmsolver") {
    throw unsupported(config, "algorithm_type", "expected dpmsolver++ or dpmsolver, found " + config.algorithm_type);
  }
  for (const std::string_view related : {"logrho", "bh1", "bh2"}) {
    if (config.solver_type == related) config.solver_type = "midpoint";
  }
  if (config.solver_type != "midpoint" && config.solver_type != "heun") {
    throw unsupported(config, "solver_type", "expected midpoint or heun, found " + config.solver_type);
  }
  if (!predicts_x0(config) && config.final_sigmas_type == "zero") {
    throw unsupported(config, "final_sigmas_type", "algorithm_type dpmsolver cannot end at zero, only at sigma_min");
  }
  if (config.variance_type.starts_with("learned")) {
    throw unsupported(config, "variance_type", "learned variances are not supported");
  }
}

/// How many training timesteps are left below those whose lambda is clipped away.
int64_t unclipped_timesteps(const SamplingPlan& plan) {
  const auto clipped = std::ranges::count_if(training_sigmas(plan.alpha_bar), [&](float sigma) {
    const float alpha_bar = 1 / (sigma * sigma + 1);
    return 0.5F * std::log(alpha_bar / (1 - alpha_bar)) < plan.config.lambda_min_clipped;
  });
  return plan.config.num_train_timesteps - clipped;
}

std::vector<double> dpm_timesteps(const SamplingPlan& plan) {
  const SchedulerConfig& config = plan.config;
  const int64_t left = unclipped_timesteps(plan);
  if (left < 1) throw unsupported(config, "lambda_min_clipped", "it clips all timesteps away");
  if (config.timestep_spacing == Spacing::leading) {
    if (left <= plan.steps) {
      throw Error(ErrorKind::usage, {.file = "--steps",
                                     .reason = fmt::format("{} steps with leading spacing need {} timesteps of {}",
                                                           plan.steps, plan.steps + 1, left),
                                     .hint = "take fewer steps or another --spacing"});
    }
    std::vector<double> timesteps = leading_timesteps(left / (plan.steps + 1), plan.steps + 1, config.steps_offset);
    timesteps.pop_back();
    return timesteps;
  }
  if (config.timestep_spacing == Spacing::trailing) {
    const double stride = static_cast<double>(config.num_train_timesteps) / static_cast<double>(plan.steps);
    const auto count = static_cast<int64_t>(std::ceil(static_cast<double>(left) / stride));
    return trailing_timesteps(left, stride, count);
  }
  std::vector<double> timesteps = linspace(0, static_cast<double>(left - 1), plan.steps + 1);
  std::ranges::reverse(timesteps);
  timesteps.pop_back();
  for (double& t : timesteps) t = std::nearbyint(t);
  return timesteps;
}

/// Karras's levels, or levels even in log sigma, over the whole training range, each at the nearest whole timestep.
void replace_by_levels(SamplingPlan& plan, const std::vector<float>& training, const std::vector<float>& logs) {
  const SchedulerConfig& config = plan.config;
  if (config.use_karras_sigmas) {
    plan.sigmas = karras_sigmas(config.sigma_max.value_or(training.back()), config.sigma_min.value_or(training.front()),
                                plan.steps);
  } else {
    plan.sigmas = linspace(0, 1, plan.steps);
    for (double& s : plan.sigmas) s = std::exp(logs.back() + s * (static_cast<double>(logs.front()) - logs.back()));
  }
  plan.timesteps.clear();
  for (const double sigma : plan.sigmas) {
    const double t = timestep_at(sigma, logs);
    plan.timesteps.push_back(config.beta_schedule == "squaredcos_cap_v2" ? std::trunc(t) : std::nearbyint(t));
  }
}

}  // namespace

bool predicts_x0(const SchedulerConfig& config) { return config.algorithm_type == "dpmsolver++"; }

int64_t dpm_order(const SchedulerConfig& config, int64_t i, int64_t n) {
  const bool few = config.lower_order_final && n < 15;
  if (i == n - 1 && (config.euler_at_final || few || config.final_sigmas_type == "zero")) return 1;
  const int64_t most = i == n - 2 && few ? 2 : 3;
  return std::min({config.solver_order, i + 1, most});
}

void plan_dpmpp_2m(SamplingPlan& plan) {
  settle_variant(plan.config);
  const double last = final_sigma(plan);
  const std::vector<float> training = training_sigmas(plan.alpha_bar);
  plan.timesteps = dpm_timesteps(plan);
  plan.sigmas.clear();
  for (const double t : plan.timesteps) plan.sigmas.push_back(sigma_at(t, training));
  if (plan.config.use_karras_sigmas || plan.config.use_lu_lambdas) {
    replace_by_levels(plan, training, logarithms(training));
  }
  plan.steps = std::ssize(plan.timesteps);
  plan.sigmas.push_back(last);
  for (double& sigma : plan.sigmas) sigma = static_cast<float>(sigma);
  plan.init_noise_sigma = 1;
}

}  // namespace sdtorch
