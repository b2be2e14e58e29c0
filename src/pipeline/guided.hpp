// The model as a request guides it: its conditions, the rule that combines them, and what acts inside the network.
#pragma once

#include <vector>

#include "diffusion/sampler.hpp"
#include "pipeline/components.hpp"
#include "pipeline/denoiser.hpp"
#include "pipeline/resolve.hpp"
#include "pipeline/text_conditions.hpp"

namespace sdtorch {

/// For a batch, one text a picture, that shares what `shared` says of guidance; steering: see DenoiserOptions.
///
/// Guided by text: the conditions that the guidance scale asks for. A model that follows instructions, whose conditions
/// bring the picture's latent as extra channels: neither picture nor text, the picture alone, both; the picture with
/// the prompt alone where a scale asks for no guidance, as in diffusers at 1 or less for the text, and below 1 for the
/// picture.
Model guided(const Components& model, const std::vector<TextConditions>& texts, const ResolvedRequest& shared,
             Steering steering = {});

/// The same of a refiner, which has other layers and classes: text guidance alone, and where it applies.
Model guided_refiner(const Components& refiner, const std::vector<TextConditions>& texts,
                     const ResolvedRequest& shared);

}  // namespace sdtorch
