// What a network's output means: its epsilon, v or x0 turned into the others.
#pragma once

#include <ATen/ATen.h>

#include "diffusion/scheduler_config.hpp"

namespace sdtorch {

/// The parts of a noisy latent x = signal·x0 + noise·eps with signal² + noise² = 1.
struct Mixture {
  float signal;
  float noise;
};

/// sqrt(alpha_bar) and sqrt(1 - alpha_bar).
Mixture mixture_of_alpha_bar(float alpha_bar);

/// Those of x0 + sigma·eps scaled to unit variance.
Mixture mixture_of_sigma(float sigma);

/// Those of an x that a sampler gives the network at that level; of infinity too, where it is noise alone.
Mixture mixture_at_call(double sigma);

/// The clean latent. x: fp32 [B, 4, h, w], mixed as `at` says; output: the network's for it.
at::Tensor predicted_x0(Prediction prediction, const at::Tensor& output, const at::Tensor& x, Mixture at);

/// The noise, for the same x.
at::Tensor predicted_eps(Prediction prediction, const at::Tensor& output, const at::Tensor& x, Mixture at);

/// The network output that means x0, for the same x.
at::Tensor output_for_x0(Prediction prediction, const at::Tensor& x0, const at::Tensor& x, Mixture at);

/// The clean latent in the variance-exploding frame: x = x0 + sigma eps.
at::Tensor predicted_x0_at_sigma(Prediction prediction, const at::Tensor& output, const at::Tensor& x, float sigma);

/// x0 after dynamic thresholding (Saharia et al. 2022, section 2.3) where the config asks for it.
at::Tensor thresholded(const SchedulerConfig& config, const at::Tensor& x0);

/// The same, and where it does not ask for that, clamped where the config says clip_sample.
at::Tensor limited(const SchedulerConfig& config, const at::Tensor& x0);

}  // namespace sdtorch
