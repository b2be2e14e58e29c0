#include "diffusion/samplers/dpm_solver_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "diffusion/noise_schedule.hpp"
#include "diffusion/sigma_schedule.hpp"
#include "diffusion/timesteps.hpp"

namespace sdtorch {
namespace {

/// How many training timesteps are left below those whose lambda is clipped away.
int64_t unclipped_timesteps(const SamplingPlan& plan) {
  const auto clipped = std::ranges::count_if(training_sigmas(plan.alpha_bar), [&](float sigma) {
    const float alpha_bar = 1 / (sigma * sigma + 1);
    return 0.5F * std::log(alpha_bar / (1 - alpha_bar)) < plan.config.lambda_min_clipped;
  });
  return plan.config.num_train_timesteps - clipped;
}

std::vector<double> dpm_timesteps(const SamplingPlan& plan, const DpmLevels& how) {
  const SchedulerConfig& config = plan.config;
  const int64_t left = how.clips_lambda ? unclipped_timesteps(plan) : config.num_train_timesteps;
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

/// Levels even in log sigma over the whole training range (Lu et al. 2022b, section 3.3).
std::vector<double> lu_levels(std::span<const float> logs, int64_t steps) {
  std::vector<double> sigmas = linspace(0, 1, steps);
  for (double& s : sigmas) s = std::exp(logs.back() + s * (static_cast<double>(logs.front()) - logs.back()));
  return sigmas;
}

}  // namespace

void settle_dpm_variant(SchedulerConfig& config) {
  if (config.use_flow_sigmas) throw unsupported(config, "use_flow_sigmas", "flow matching is not supported");
  if (config.algorithm_type == "deis") config.algorithm_type = "dpmsolver++";
  const bool plus = config.algorithm_type.ends_with("dpmsolver++");
  const bool known = plus || config.algorithm_type.ends_with("dpmsolver");
  if (!known || (config.algorithm_type.find("dpm") != 0 && !config.algorithm_type.starts_with("sde-dpm"))) {
    throw unsupported(
        config, "algorithm_type",
        "expected dpmsolver++, dpmsolver, sde-dpmsolver++ or sde-dpmsolver, found " + config.algorithm_type);
  }
  for (const std::string_view related : {"logrho", "bh1", "bh2"}) {
    if (config.solver_type == related) config.solver_type = "midpoint";
  }
  if (config.solver_type != "midpoint" && config.solver_type != "heun") {
    throw unsupported(config, "solver_type", "expected midpoint or heun, found " + config.solver_type);
  }
  if (!plus && config.final_sigmas_type == "zero") {
    throw unsupported(config, "final_sigmas_type",
                      fmt::format("algorithm_type {} cannot end at zero, only at sigma_min", config.algorithm_type));
  }
  if (config.variance_type.starts_with("learned")) {
    throw unsupported(config, "variance_type", "learned variances are not supported");
  }
}

void plan_dpm_levels(SamplingPlan& plan, const DpmLevels& how) {
  const SchedulerConfig& config = plan.config;
  const std::vector<float> training = training_sigmas(plan.alpha_bar), logs = logarithms(training);
  plan.timesteps = dpm_timesteps(plan, how);
  plan.sigmas.clear();
  for (const double t : plan.timesteps) plan.sigmas.push_back(sigma_at(t, training));
  const bool lu = how.has_lu_lambdas && config.use_lu_lambdas && !config.use_karras_sigmas;
  if (lu || has_levels(plan)) {
    plan.sigmas = lu ? lu_levels(logs, plan.steps)
                     : chosen_levels(plan, training, LevelBounds::config_or_training, {.first = 0, .last = 0});
    const bool cosine = how.truncates_cosine && config.beta_schedule == "squaredcos_cap_v2";
    const bool truncates =
        config.use_exponential_sigmas || config.use_beta_sigmas || (cosine && (lu || config.use_karras_sigmas));
    plan.timesteps.clear();
    for (const double sigma : plan.sigmas) {
      const double t = timestep_at(sigma, logs);
      plan.timesteps.push_back(truncates ? std::trunc(t) : std::nearbyint(t));
    }
  }
  plan.steps = std::ssize(plan.timesteps);
  plan.init_noise_sigma = 1;
}

void finish_dpm_levels(SamplingPlan& plan, double last, bool ends_at_zero) {
  if (!plan.listed.empty()) last = plan.listed.back();
  if (last == 0 && !ends_at_zero) {
    throw Error(ErrorKind::usage, {.file = "--sigmas",
                                   .reason = fmt::format("{} cannot end at 0 here", plan.sampler->name),
                                   .hint = "end the list at the model's smallest level"});
  }
  plan.sigmas.push_back(last);
  for (double& sigma : plan.sigmas) sigma = static_cast<float>(sigma);
}

}  // namespace sdtorch
