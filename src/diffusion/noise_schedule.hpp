// The forward process: how much signal is left at each training timestep, and noising in closed form.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "diffusion/scheduler_config.hpp"

namespace sdtorch {

/// alpha_bar_t = prod_{s<=t} (1 - beta_s) (Ho et al. 2020, eq. 4), one a training timestep, in fp32 as diffusers
/// computes them. With rescale_betas_zero_snr the last one is exactly 0.
/// Throws ErrorKind::model for a beta_schedule that is not known.
std::vector<float> alpha_bars(const SchedulerConfig& config);

/// sqrt((1 - alpha_bar) / alpha_bar) of every training timestep, ascending, in float64 and rounded once. Without
/// rescale_betas_zero_snr. Throws as alpha_bars.
std::vector<float> exact_sigmas(const SchedulerConfig& config);

/// x^(1/2) in fp32 as torch's pow rounds it, which is not always as sqrt does: near the noisy end of a cosine schedule
/// the last bit is amplified ten thousand times.
float root(float x);

/// Noise level of the same process seen as variance exploding: sqrt((1 - alpha_bar) / alpha_bar).
inline float sigma_of(float alpha_bar) { return root((1 - alpha_bar) / alpha_bar); }

/// A sample of q(x_t | x_0) = N(sqrt(alpha_bar) x_0, (1 - alpha_bar) I) (Ho et al. 2020, eq. 4).
/// x0, noise: fp32 of one shape, noise standard normal; alpha_bar: 0…1, of timestep t.
at::Tensor add_noise(const at::Tensor& x0, const at::Tensor& noise, double alpha_bar);

/// The same in the variance-exploding frame of Euler, Heun and LMS: x_0 + sigma noise.
at::Tensor add_noise_exploding(const at::Tensor& x0, const at::Tensor& noise, double sigma);

}  // namespace sdtorch
