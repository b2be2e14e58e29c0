#include "diffusion/noise_schedule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace sdtorch {
namespace {

using at::Tensor;

/// alpha_bar(t) = cos^2((t + 0.008) / 1.008 · pi/2), t in 0…1 (Nichol & Dhariwal 2021, eq. 17).
double cosine_alpha_bar(double t) {
  const double c = std::cos((t + 0.008) / 1.008 * std::numbers::pi / 2);
  return c * c;
}

Tensor cosine_betas(int64_t count) {
  constexpr double max_beta = 0.999;
  std::vector<float> betas;
  betas.reserve(static_cast<size_t>(count));
  const auto total = static_cast<double>(count);
  for (int64_t i = 0; i < count; ++i) {
    const double here = cosine_alpha_bar(static_cast<double>(i) / total);
    const double next = cosine_alpha_bar(static_cast<double>(i + 1) / total);
    betas.push_back(static_cast<float>(std::min(1 - next / here, max_beta)));
  }
  return at::tensor(betas);
}

Tensor scheduled_betas(const SchedulerConfig& config) {
  if (!config.trained_betas.empty()) return at::tensor(config.trained_betas).to(at::kFloat);
  const int64_t count = config.num_train_timesteps;
  if (config.beta_schedule == "linear") return at::linspace(config.beta_start, config.beta_end, count, at::kFloat);
  if (config.beta_schedule == "scaled_linear") {
    return at::linspace(std::pow(config.beta_start, 0.5), std::pow(config.beta_end, 0.5), count, at::kFloat).pow(2);
  }
  if (config.beta_schedule == "squaredcos_cap_v2") return cosine_betas(count);
  throw unsupported(config, "beta_schedule",
                    fmt::format("expected linear, scaled_linear or squaredcos_cap_v2, found {}", config.beta_schedule));
}

/// sqrt(alpha_bar) is shifted so that the last one is 0 and scaled so that the first one stays (Lin et al. 2023,
/// Algorithm 1).
Tensor zero_terminal_snr(const Tensor& betas) {
  const Tensor root = (1 - betas).cumprod(0).sqrt();
  const Tensor first = root[0], last = root[-1];
  const Tensor alpha_bar = ((root - last) * (first / (first - last))).pow(2);
  const Tensor alphas = at::cat({alpha_bar.slice(0, 0, 1), alpha_bar.slice(0, 1) / alpha_bar.slice(0, 0, -1)});
  return 1 - alphas;
}

}  // namespace

std::vector<float> alpha_bars(const SchedulerConfig& config) {
  Tensor betas = scheduled_betas(config);
  if (config.rescale_betas_zero_snr) betas = zero_terminal_snr(betas);
  const Tensor alpha_bar = (1 - betas).cumprod(0).contiguous();
  const float* values = alpha_bar.const_data_ptr<float>();
  return {values, values + alpha_bar.numel()};
}

std::vector<float> exact_sigmas(const SchedulerConfig& config) {
  const int64_t count = config.num_train_timesteps;
  Tensor betas = scheduled_betas(config).to(at::kDouble);
  if (config.trained_betas.empty() && config.beta_schedule == "linear") {
    betas = at::linspace(config.beta_start, config.beta_end, count, at::kDouble);
  } else if (config.trained_betas.empty() && config.beta_schedule == "scaled_linear") {
    betas = at::linspace(std::sqrt(config.beta_start), std::sqrt(config.beta_end), count, at::kDouble).pow(2);
  }
  const Tensor alpha_bar = (1 - betas).cumprod(0);
  const Tensor sigmas = ((1 - alpha_bar) / alpha_bar).sqrt().to(at::kFloat).contiguous();
  const float* values = sigmas.const_data_ptr<float>();
  return {values, values + sigmas.numel()};
}

float root(float x) { return at::scalar_tensor(x, at::kFloat).pow(0.5).item<float>(); }

Tensor add_noise(const Tensor& x0, const Tensor& noise, double alpha_bar) {
  const auto signal = static_cast<float>(alpha_bar);
  return root(signal) * x0 + root(1 - signal) * noise;
}

Tensor add_noise_exploding(const Tensor& x0, const Tensor& noise, double sigma) { return x0 + noise * sigma; }

}  // namespace sdtorch
