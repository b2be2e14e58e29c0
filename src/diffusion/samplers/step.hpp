// What the samplers share: one network call, one report, one draw of noise.
#pragma once

#include <algorithm>
#include <vector>

#include "diffusion/noise_schedule.hpp"
#include "diffusion/sampler.hpp"

namespace sdtorch {

/// The network's output for x in the variance-exploding frame: the network sees x at unit variance.
inline at::Tensor evaluate_at_sigma(const Model& model, const at::Tensor& x, double timestep, float sigma) {
  return model(x / root(sigma * sigma + 1), timestep);
}

/// An ancestral step from `sigma` to `next`: deterministic down to `down`, then up again by noise of deviation `up`, so
/// that the variances add up (Song et al. 2020, "Score-Based Generative Modeling", section 4.2, in the frame of
/// Karras et al. 2022).
struct AncestralStep {
  float down;
  float up;
};
inline AncestralStep ancestral_step(float sigma, float next) {
  const float variance = sigma * sigma, next_variance = next * next;
  const float up = root(next_variance * (variance - next_variance) / variance);
  return {.down = root(std::max(next_variance - up * up, 0.0F)), .up = up};
}

/// Slopes so far (newest last) extrapolated over the step by Adams-Bashforth, of order 4 as soon as there are four
/// (Liu et al. 2022, eq. 12).
inline at::Tensor adams_bashforth(const std::vector<at::Tensor>& e) {
  const at::Tensor* last = &e.back();
  if (e.size() == 1) return last[0];
  if (e.size() == 2) return (3 * last[0] - last[-1]) / 2;
  if (e.size() == 3) return (23 * last[0] - 16 * last[-1] + 5 * last[-2]) / 12;
  return (55 * last[0] - 59 * last[-1] + 37 * last[-2] - 9 * last[-3]) / 24;
}

/// Halfway in log sigma from each step's level to the next one; 0 where that is 0.
std::vector<float> halfways(const SamplingPlan& plan);

/// Halfway in log sigma from each step's level to that to which an ancestral step goes down; 0 where that is 0.
std::vector<float> ancestral_halfways(const SamplingPlan& plan);

/// Unit noise of x's shape, on x's device.
inline at::Tensor unit_noise(SamplerContext& context, const at::Tensor& x) {
  return context.noise.draw(x.sizes().slice(1)).to(x.device());
}

/// Tells the observer that step `index` led to `latent`. timestep: of the step's first network call.
inline void report(SamplerContext& context, const SamplingPlan& plan, size_t index, double timestep,
                   const at::Tensor& latent, const at::Tensor& predicted) {
  if (!context.on_step) return;
  context.on_step({.index = static_cast<int64_t>(index),
                   .count = plan.steps,
                   .timestep = timestep,
                   .sigma = plan.sigmas[index],
                   .latent = latent,
                   .predicted = predicted});
}

}  // namespace sdtorch
