#include "diffusion/sigma_schedule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "diffusion/noise_schedule.hpp"
#include "diffusion/timesteps.hpp"

namespace sdtorch {

std::vector<float> training_sigmas(std::span<const float> alpha_bar) {
  constexpr float smallest = 0x1p-24F;
  at::Tensor signal = at::tensor(at::ArrayRef<float>(alpha_bar.data(), alpha_bar.size()));
  signal = signal.masked_fill(signal == 0, smallest);
  const at::Tensor sigmas = ((1 - signal) / signal).pow(0.5);  // not sqrt: the rounding is to be diffusers'
  const float* values = sigmas.const_data_ptr<float>();
  return {values, values + sigmas.numel()};
}

std::vector<float> training_sigmas(const SamplingPlan& plan) {
  if (plan.levels.schedule != ScheduleRules::diffusers && !plan.config.rescale_betas_zero_snr) {
    return exact_sigmas(plan.config);
  }
  return training_sigmas(plan.alpha_bar);
}

std::vector<float> logarithms(std::span<const float> sigmas) {
  std::vector<float> logs;
  logs.reserve(sigmas.size());
  for (const float sigma : sigmas) logs.push_back(std::log(sigma));
  return logs;
}

double sigma_at(double timestep, std::span<const float> sigmas) {
  const auto last = static_cast<double>(sigmas.size() - 1);
  if (timestep <= 0) return sigmas.front();
  if (timestep >= last) return sigmas.back();
  const auto low = static_cast<size_t>(timestep);
  const double here = sigmas[low], next = sigmas[low + 1];
  return (next - here) * (timestep - static_cast<double>(low)) + here;
}

double timestep_at(double sigma, std::span<const float> log_sigmas) {
  constexpr double smallest = 1e-10;
  const double log_sigma = std::log(std::max(sigma, smallest));
  const auto above = std::ranges::upper_bound(log_sigmas, log_sigma);
  const int64_t highest_low = std::ssize(log_sigmas) - 2;
  const int64_t low = std::clamp<int64_t>(above - log_sigmas.begin() - 1, 0, highest_low);
  const float here = log_sigmas[static_cast<size_t>(low)], next = log_sigmas[static_cast<size_t>(low) + 1];
  const double weight = std::clamp((here - log_sigma) / (here - next), 0.0, 1.0);
  return (1 - weight) * static_cast<double>(low) + weight * static_cast<double>(low + 1);
}

double timestep_of_level(const SamplingPlan& plan, double sigma, std::span<const float> log_sigmas) {
  if (plan.levels.timesteps != TimestepRounding::nearest) return timestep_at(sigma, log_sigmas);
  const float log_sigma = std::log(static_cast<float>(sigma));  // in fp32, as ComfyUI: halfway, the last digit decides
  size_t nearest = 0;
  for (size_t t = 1; t < log_sigmas.size(); ++t) {
    if (std::abs(log_sigma - log_sigmas[t]) < std::abs(log_sigma - log_sigmas[nearest])) nearest = t;
  }
  return static_cast<double>(nearest);
}

bool has_levels(const SamplingPlan& plan) { return !plan.listed.empty() || plan.schedule->levels; }

std::vector<double> chosen_levels(SamplingPlan& plan, std::span<const float> training, LevelBounds bounds,
                                  TimestepLevels spaced) {
  if (!plan.listed.empty()) return {plan.listed.begin(), plan.listed.end() - 1};
  const SchedulerConfig& config = plan.config;
  const bool discards = plan.levels.discard_next_to_last.value_or(false);
  LevelRange range{.training = training,
                   .max = spaced.first,
                   .min = spaced.last,
                   .steps = plan.steps + (discards ? 1 : 0),
                   .sdxl = plan.sdxl,
                   .rules = plan.levels.schedule};
  if (plan.levels.schedule != ScheduleRules::diffusers) bounds = LevelBounds::training;
  if (bounds == LevelBounds::training || bounds == LevelBounds::config_or_training) {
    range.max = training.back();
    range.min = training.front();
  }
  const bool fixed = bounds == LevelBounds::timesteps && config.use_karras_sigmas;
  if (bounds != LevelBounds::training && !fixed) {
    range.max = config.sigma_max.value_or(range.max);
    range.min = config.sigma_min.value_or(range.min);
  }
  std::vector<double> levels = plan.schedule->levels(range);
  if (plan.schedule->name == "kl_optimal" && std::ssize(levels) > range.steps) {  // it says its end, too
    plan.end = levels.back();
    levels.pop_back();
  }
  if (discards) levels.pop_back();
  return levels;
}

void plan_sigmas(SamplingPlan& plan, const SigmaPlan& how) {
  const SchedulerConfig& config = plan.config;
  const std::vector<float> training = training_sigmas(plan);
  plan.timesteps = exact_timesteps(config, plan.steps);
  plan.sigmas.clear();
  for (double& t : plan.timesteps) {
    const auto rounded = static_cast<float>(t);
    plan.sigmas.push_back(sigma_at(how.exact_timesteps ? t : rounded, training));
    t = rounded;
  }
  if (has_levels(plan)) {
    plan.sigmas = chosen_levels(plan, training, how.bounds, {.first = plan.sigmas.front(), .last = plan.sigmas.back()});
    plan.steps = std::ssize(plan.sigmas);  // some schedules of other tools do not keep to it
    const std::vector<float> logs = logarithms(training);
    plan.timesteps.clear();
    for (const double sigma : plan.sigmas) {
      plan.timesteps.push_back(static_cast<float>(timestep_of_level(plan, sigma, logs)));
    }
  }
  plan.sigmas.push_back(plan.listed.empty() ? plan.end.value_or(how.last) : plan.listed.back());
  for (double& sigma : plan.sigmas) sigma = static_cast<float>(sigma);
  const auto largest = static_cast<float>(std::ranges::max(plan.sigmas));
  plan.init_noise_sigma = config.timestep_spacing == Spacing::leading ? root(largest * largest + 1) : largest;
}

float halfway_sigma(float sigma, float next) {
  return static_cast<float>(std::sqrt(static_cast<double>(sigma) * static_cast<double>(next)));
}

void round_karras_timesteps(SamplingPlan& plan) {
  if (!plan.config.use_karras_sigmas || plan.levels.timesteps != TimestepRounding::own) return;
  for (double& t : plan.timesteps) t = std::nearbyint(t);
}

void add_second_calls(SamplingPlan& plan, std::span<const float> ahead) {
  const std::vector<float> logs = logarithms(training_sigmas(plan));
  std::vector<double> calls;
  for (size_t i = 0; i < ahead.size(); ++i) {
    calls.push_back(plan.timesteps[i]);
    if (ahead[i] > 0) calls.push_back(static_cast<float>(timestep_of_level(plan, ahead[i], logs)));
  }
  plan.timesteps = std::move(calls);
}

double final_sigma(const SamplingPlan& plan) {
  const std::string& type = plan.config.final_sigmas_type;
  if (type == "zero") return 0;
  if (type == "sigma_min") return sigma_of(plan.alpha_bar.front());
  throw unsupported(plan.config, "final_sigmas_type", fmt::format("expected zero or sigma_min, found {}", type));
}

}  // namespace sdtorch
