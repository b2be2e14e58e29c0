#include "diffusion/prediction.hpp"

#include <cmath>

#include "diffusion/noise_schedule.hpp"

namespace sdtorch {

using at::Tensor;

Mixture mixture_of_alpha_bar(float alpha_bar) { return {.signal = root(alpha_bar), .noise = root(1 - alpha_bar)}; }

Mixture mixture_of_sigma(float sigma) {
  const float signal = 1 / root(sigma * sigma + 1);
  return {.signal = signal, .noise = sigma * signal};
}

Mixture mixture_at_call(double sigma) {
  if (std::isinf(sigma)) return {.signal = 0, .noise = 1};
  return mixture_of_sigma(static_cast<float>(sigma));
}

Tensor predicted_x0(Prediction prediction, const Tensor& output, const Tensor& x, Mixture at) {
  if (prediction == Prediction::x0) return output;
  if (prediction == Prediction::v) return at.signal * x - at.noise * output;
  return (x - at.noise * output) / at.signal;
}

Tensor predicted_eps(Prediction prediction, const Tensor& output, const Tensor& x, Mixture at) {
  if (prediction == Prediction::x0) return (x - at.signal * output) / at.noise;
  if (prediction == Prediction::v) return at.signal * output + at.noise * x;
  return output;
}

Tensor output_for_x0(Prediction prediction, const Tensor& x0, const Tensor& x, Mixture at) {
  if (prediction == Prediction::x0) return x0;
  if (prediction == Prediction::v) return (at.signal * x - x0) / at.noise;
  return (x - at.signal * x0) / at.noise;
}

Tensor predicted_x0_at_sigma(Prediction prediction, const Tensor& output, const Tensor& x, float sigma) {
  if (prediction == Prediction::x0) return output;
  if (prediction == Prediction::epsilon) return x - sigma * output;
  const float variance = sigma * sigma + 1;
  return output * (-sigma / root(variance)) + x / variance;
}

Tensor thresholded(const SchedulerConfig& config, const Tensor& x0) {
  if (!config.thresholding) return x0;
  const Tensor flat = x0.flatten(1);
  const Tensor quantile = flat.abs().quantile(config.dynamic_thresholding_ratio, 1, /*keepdim=*/true);
  const Tensor bound = quantile.clamp(1, config.sample_max_value);
  return (flat.clamp(-bound, bound) / bound).view_as(x0);
}

Tensor limited(const SchedulerConfig& config, const Tensor& x0) {
  if (config.thresholding) return thresholded(config, x0);
  return config.clip_sample ? x0.clamp(-config.clip_sample_range, config.clip_sample_range) : x0;
}

}  // namespace sdtorch
