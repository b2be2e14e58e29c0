// Where a run begins: with a latent somewhere on the schedule, be it noise, a noised picture or what another model
// left.
#pragma once

#include "diffusion/sampler.hpp"

namespace sdtorch {

/// A plan and the latent that it goes on from.
struct Start {
  SamplingPlan plan{};
  at::Tensor x{};  ///< fp32 [B, 4, h, w], at the plan's first noise level and in its sampler's frame
};

/// The whole plan, from pure noise. noise: unit normal fp32 [B, 4, h, w].
Start start_from_noise(SamplingPlan plan, const at::Tensor& noise);

/// The plan as it is, from a clean latent noised to its first level (Meng et al. 2021, "SDEdit").
/// x0: fp32 [B, 4, h, w] in the networks' units; noise: unit normal of its shape.
Start start_from_picture(SamplingPlan plan, const at::Tensor& x0, const at::Tensor& noise);

/// The plan as it is, from a latent at its first level, such as another model left in the same frame.
Start start_from_latent(SamplingPlan plan, const at::Tensor& x);

/// Runs the plan to its end → the final latent (still times the VAE's scale).
at::Tensor run_sampler(const Start& start, const Model& model, SamplerContext& context);

/// Steps of a plan: those that are left in one that was cut.
int64_t steps_of(const SamplingPlan& plan);

/// The part of a plan from step `first` on. first: 0…plan.steps-1.
/// Throws ErrorKind::usage naming `sampler` for one that cannot begin in the middle.
SamplingPlan plan_from_step(SamplingPlan plan, int64_t first);

/// The step at which a noised picture enters a whole plan of `steps`, so that the share `strength` of them is left,
/// rounded down as diffusers' image-to-image does. strength: 0…1. Equal to `steps` where none is left.
int64_t first_step_of(double strength, int64_t steps);

/// The part of a plan that comes before a share of the training timesteps is passed, counted from the noisiest, as
/// diffusers' `denoising_end` cuts it (Podell et al. 2023, section 2.5: an ensemble of experts). share: 0…1, both
/// excluded. It may be empty: the latent stays the start noise.
/// Throws ErrorKind::usage naming `refiner` for a sampler that cannot be cut.
SamplingPlan plan_until(SamplingPlan plan, double share);

/// The part from there on, as `denoising_start` cuts it. It need not begin where another plan's ends.
SamplingPlan plan_from(SamplingPlan plan, double share);

/// A clean latent noised to a level, in the frame of the plan's sampler. sigma: in units of a variance-exploding
/// process, as the plan's sigmas and SamplerStep's are.
at::Tensor noised_to(const SamplingPlan& plan, const at::Tensor& x0, const at::Tensor& noise, double sigma);

/// The same, to the level at which the plan's step `step` begins. step: 0…steps_of(plan).
at::Tensor noised_for_step(const SamplingPlan& plan, const at::Tensor& x0, const at::Tensor& noise, int64_t step);

}  // namespace sdtorch
