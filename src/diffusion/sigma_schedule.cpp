#include "sdtorch/diffusion/sigma_schedule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sdtorch/diffusion/noise_schedule.hpp"
#include "sdtorch/diffusion/timesteps.hpp"

namespace sdtorch {

std::vector<float> training_sigmas(std::span<const float> alpha_bar) {
  constexpr float smallest = 0x1p-24F;
  at::Tensor signal = at::tensor(at::ArrayRef<float>(alpha_bar.data(), alpha_bar.size()));
  signal = signal.masked_fill(signal == 0, smallest);
  const at::Tensor sigmas = ((1 - signal) / signal).pow(0.5);  // not sqrt: the rounding is to be diffusers'
  const float* values = sigmas.const_data_ptr<float>();
  return {values, values + sigmas.numel()};
}

std::vector<float> logarithms(std::span<const float> sigmas) {
  std::vector<float> logs;
  logs.reserve(sigmas.size());
  for (const float sigma : sigmas) logs.push_back(std::log(sigma));
  return logs;
}

std::vector<double> karras_sigmas(double max, double min, int64_t count) {
  constexpr double rho = 7;
  const double from = std::pow(max, 1 / rho), to = std::pow(min, 1 / rho);
  std::vector<double> sigmas = linspace(0, 1, count);
  for (double& sigma : sigmas) sigma = std::pow(from + sigma * (to - from), rho);
  return sigmas;
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

void plan_sigmas(SamplingPlan& plan, KarrasRange range, double last) {
  const SchedulerConfig& config = plan.config;
  const std::vector<float> training = training_sigmas(plan.alpha_bar);
  plan.timesteps = fractional_timesteps(config, plan.steps);
  plan.sigmas.clear();
  for (const double t : plan.timesteps) plan.sigmas.push_back(sigma_at(t, training));
  if (config.use_karras_sigmas) {
    double max = plan.sigmas.front(), min = plan.sigmas.back();
    if (range == KarrasRange::training) max = training.back(), min = training.front();
    if (range == KarrasRange::config_or_timesteps) {
      max = config.sigma_max.value_or(max);
      min = config.sigma_min.value_or(min);
    }
    plan.sigmas = karras_sigmas(max, min, plan.steps);
    const std::vector<float> logs = logarithms(training);
    plan.timesteps.clear();
    for (const double sigma : plan.sigmas) plan.timesteps.push_back(static_cast<float>(timestep_at(sigma, logs)));
  }
  plan.sigmas.push_back(last);
  for (double& sigma : plan.sigmas) sigma = static_cast<float>(sigma);
  const auto largest = static_cast<float>(std::ranges::max(plan.sigmas));
  plan.init_noise_sigma = config.timestep_spacing == Spacing::leading ? root(largest * largest + 1) : largest;
}

double final_sigma(const SamplingPlan& plan) {
  const std::string& type = plan.config.final_sigmas_type;
  if (type == "zero") return 0;
  if (type == "sigma_min") return sigma_of(plan.alpha_bar.front());
  throw unsupported(plan.config, "final_sigmas_type", fmt::format("expected zero or sigma_min, found {}", type));
}

void require_plain_sigmas(const SchedulerConfig& config) {
  const std::string hint = "set it to false, and choose the schedule by --scheduler";
  if (config.use_exponential_sigmas) throw unsupported(config, "use_exponential_sigmas", "not supported", hint);
  if (config.use_beta_sigmas) throw unsupported(config, "use_beta_sigmas", "not supported", hint);
}

}  // namespace sdtorch
