// One picture by two models: the first denoises down to some noise level, the second from there (Podell et al. 2023,
// section 2.5: an ensemble of experts).
#pragma once

#include "diffusion/sampler.hpp"

namespace sdtorch {

/// The part of a plan that comes before a share of the training timesteps is passed, counted from the noisiest, as
/// diffusers' `denoising_end` cuts it. share: 0…1, both excluded. It may be empty: the latent stays the start noise.
/// Throws ErrorKind::usage naming --refiner for a sampler that cannot be cut.
SamplingPlan plan_until(SamplingPlan plan, double share);

/// The part from there on, as `denoising_start` cuts it. It need not begin where another plan's ends.
SamplingPlan plan_from(SamplingPlan plan, double share);

/// Samples on from a latent that another model left. latent: fp32 [B, 4, h, w]
at::Tensor continue_sampling(const SamplingPlan& plan, const Model& model, const at::Tensor& latent,
                             SamplerContext& context);

}  // namespace sdtorch
