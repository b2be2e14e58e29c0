#include "diffusion/samplers/dpm_solver.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "diffusion/noise_schedule.hpp"
#include "diffusion/samplers/brownian_noise.hpp"
#include "diffusion/samplers/step.hpp"
#include "diffusion/sigma_schedule.hpp"
#include "diffusion/timesteps.hpp"

namespace sdtorch {
namespace {

/// How many training timesteps are left below those whose lambda is clipped away.
int64_t unclipped_timesteps(const SamplingPlan& plan) {
  const auto clipped = std::ranges::count_if(training_sigmas(plan), [&](float sigma) {
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
      throw Error(ErrorKind::usage, {.place = "steps",
                                     .reason = fmt::format("{} steps with leading spacing need {} timesteps of {}",
                                                           plan.steps, plan.steps + 1, left),
                                     .hint = "take fewer steps or another {spacing}"});
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

bool is_sde(const SchedulerConfig& config) { return config.algorithm_type.starts_with("sde-"); }

/// Step i from the predictions m (newest last), whose differences stand for its derivatives.
at::Tensor multistep(const SamplingPlan& plan, size_t i, const at::Tensor& x, const std::vector<at::Tensor>& m) {
  const DpmTerms terms = dpm_terms(plan.config, plan.sigmas[i], plan.sigmas[i + 1]);
  const bool ends_low = plan.config.euler_at_final || plan.sigmas[i + 1] == 0;
  const int64_t order = multistep_order(plan, i, ends_low);
  const at::Tensor kept = terms.kept * x - terms.scale * terms.phi1 * m.back();
  if (order == 1) return kept;
  const auto distance = [&](size_t k) { return lambda_of(plan.sigmas[k]) - lambda_of(plan.sigmas[k - 1]); };
  const float r0 = distance(i) / terms.h;
  const at::Tensor slope = 1 / r0 * (m.back() - m[m.size() - 2]);
  if (order == 2) {
    return kept - terms.scale * (plan.config.solver_type == "heun" ? terms.phi2 : 0.5F * terms.phi1) * slope;
  }
  const float r1 = distance(i - 1) / terms.h;
  const at::Tensor bend = slope - 1 / r1 * (m[m.size() - 2] - m[m.size() - 3]);
  return kept - terms.scale * terms.phi2 * (slope + r0 / (r0 + r1) * bend) -
         terms.scale * terms.phi3 * (1 / (r0 + r1) * bend);
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
  const std::vector<float> training = training_sigmas(plan), logs = logarithms(training);
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
      const double t = timestep_of_level(plan, sigma, logs);
      const bool own = plan.levels.timesteps == TimestepRounding::own;
      plan.timesteps.push_back(!own ? static_cast<float>(t) : truncates ? std::trunc(t) : std::nearbyint(t));
    }
  }
  plan.steps = std::ssize(plan.timesteps);
  plan.init_noise_sigma = 1;
}

void finish_dpm_levels(SamplingPlan& plan, double last, bool ends_at_zero) {
  if (plan.end) last = *plan.end;
  if (!plan.listed.empty()) last = plan.listed.back();
  if (last == 0 && !ends_at_zero) {
    throw Error(ErrorKind::usage, {.place = "sigmas",
                                   .reason = fmt::format("{} cannot end at 0 here", plan.sampler->name),
                                   .hint = "end the list at the model's smallest level"});
  }
  plan.sigmas.push_back(last);
  for (double& sigma : plan.sigmas) sigma = static_cast<float>(sigma);
}

bool predicts_x0(const SchedulerConfig& config) { return config.algorithm_type.ends_with("++"); }

float lambda_of(double sigma) {
  const Mixture level = mixture_of_sigma(static_cast<float>(sigma));
  return std::log(level.signal) - std::log(level.noise);
}

DpmPrediction dpm_prediction(const SchedulerConfig& config, const Evaluation& said, const at::Tensor& x, Mixture here) {
  if (predicts_x0(config)) {
    const at::Tensor x0 = thresholded(config, said.x0);
    return {.x0 = x0, .integrated = x0};
  }
  const at::Tensor x0 = thresholded(config, predicted_x0(Prediction::epsilon, said.eps, x, here));
  return {.x0 = x0, .integrated = config.thresholding ? (x - here.signal * x0) / here.noise : said.eps};
}

DpmTerms dpm_terms(const SchedulerConfig& config, double from, double to) {
  const Mixture here = mixture_of_sigma(static_cast<float>(from)), next = mixture_of_sigma(static_cast<float>(to));
  const bool plus = predicts_x0(config), sde = is_sde(config);
  const float h = lambda_of(to) - lambda_of(from);
  const float z = plus ? (sde ? -2 * h : -h) : h;
  DpmTerms terms{.h = h, .kept = plus ? next.noise / here.noise : next.signal / here.signal};
  terms.scale = plus ? next.signal : next.noise;
  terms.phi1 = std::exp(z) - 1;
  terms.phi2 = terms.phi1 / z - 1;
  terms.phi3 = (terms.phi1 - z) / (z * z) - 0.5F;
  terms.noise = 0;
  if (sde && plus) {
    terms.kept *= std::exp(-h);
    terms.phi3 += 1;  // diffusers has this constant with the other sign here, and its pictures are the measure
    terms.noise = next.noise * std::sqrt(1 - std::exp(-2 * h));
  } else if (sde) {
    terms.scale *= 2;
    terms.noise = next.noise * std::sqrt(std::exp(2 * h) - 1);
  }
  return terms;
}

int64_t multistep_order(const SamplingPlan& plan, size_t i, bool ends_low) {
  const auto taken = static_cast<int64_t>(i), place = std::ssize(plan.earlier) + taken;
  const bool few = plan.config.lower_order_final && plan.steps < 15;
  if (place == plan.steps - 1 && (ends_low || few)) return 1;
  const int64_t most = place == plan.steps - 2 && few ? 2 : 3;
  return std::min({plan.config.solver_order, taken + 1, most});
}

at::Tensor sample_dpm_multistep(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  SamplerRun run(model, plan, context);
  std::vector<at::Tensor> history;
  std::optional<BrownianNoise> motion;
  if (is_sde(plan.config) && context.noise.rules().brownian) motion.emplace(plan, context.noise, x);
  const auto noise = [&](size_t i) {
    if (!motion) return run.unit_noise(x);
    if (plan.sigmas[i + 1] == 0) return at::zeros_like(x);
    return (*motion)(at::scalar_tensor(run.sigma(i)), at::scalar_tensor(run.sigma(i + 1)));
  };
  for (size_t i = 0; i < run.steps(); ++i) {
    const DpmPrediction predicted = dpm_prediction(plan.config, run.evaluate(i, x, run.level(i)), x, run.level(i));
    remember(history, predicted.integrated, 3);
    x = multistep(plan, i, x, history);
    if (is_sde(plan.config)) {
      x = x + dpm_terms(plan.config, plan.sigmas[i], plan.sigmas[i + 1]).noise * noise(i);
    }
    x = run.finish_step(i, x, predicted.x0);
  }
  return x;
}

}  // namespace sdtorch
