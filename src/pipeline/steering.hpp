// Control nets at work: what they add to each U-Net call of a run.
#pragma once

#include <span>

#include "pipeline/components.hpp"
#include "pipeline/denoiser.hpp"
#include "pipeline/resolve.hpp"

namespace sdtorch {

/// Nothing where the model has no control nets. Pictures, and all that adapters say, are looked at once, here. Each
/// ControlNet then sees the U-Net's own rows, in the mode `control`, or where its residuals are pooled, all but those
/// of the condition to lead away from, if there is one, as diffusers has it. Several add up.
Steering steered_by_pictures(const Components& model, std::span<const ResolvedRequest> batch);

}  // namespace sdtorch
