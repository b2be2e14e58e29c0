// The U-Net as a sampler sees it: one output at one noise level, whatever conditions steer it.
#pragma once

#include "diffusion/sampler.hpp"
#include "pipeline/components.hpp"
#include "pipeline/conditions.hpp"

namespace sdtorch {

/// The combined network output for a batch of as many pictures as there are lists of conditions. Evaluates all of them
/// in one call; contexts of several lengths, which one call cannot hold, take one call a length. Computes in the
/// model's type; takes and gives fp32. guidance_scale: for models that take it as an input (time_cond_proj_dim).
Model denoiser(const Components& model, Conditions conditions, double guidance_scale);

}  // namespace sdtorch
