// The U-Net as a sampler sees it: guided, at one call.
#pragma once

#include "diffusion/sampler.hpp"
#include "pipeline/components.hpp"
#include "pipeline/conditioning.hpp"

namespace sdtorch {

/// The guided network output for a batch of `images`. Evaluates the pair in one batched call, or, at scale 1 and 0,
/// the conditional or the unconditional model alone. Computes in the model's type; takes and gives fp32.
Model guided_denoiser(const Components& model, const Conditioning& text, const Request& request, int64_t images);

}  // namespace sdtorch
