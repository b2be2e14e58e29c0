// What the samplers share: one network call, one report, one draw of noise.
#pragma once

#include "sdtorch/diffusion/noise_schedule.hpp"
#include "sdtorch/diffusion/sampler.hpp"

namespace sdtorch {

/// The network's output for x in the variance-exploding frame: the network sees x at unit variance.
inline at::Tensor evaluate_at_sigma(const Model& model, const at::Tensor& x, double timestep, float sigma) {
  return model(x / root(sigma * sigma + 1), timestep);
}

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
