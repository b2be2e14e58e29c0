// LoRAs whose weights change over a run's steps: the stretches of it between which the texts are others.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "diffusion/sampler.hpp"
#include "pipeline/adapted_networks.hpp"
#include "pipeline/loras.hpp"
#include "pipeline/text_conditions.hpp"

namespace sdtorch {

/// A batch's texts from a step on, as text encoders with that step's LoRAs encode them.
struct TextStretch {
  int64_t first_step = 0;
  std::vector<TextConditions> texts{};  ///< one a picture
};

/// Encodes the texts once for each different set of LoRAs that the text encoders have on the way: mostly once. The
/// networks are left with the last one's text encoders.
std::vector<TextStretch> encode_stretches(const AdaptedNetworks::Use& networks, const std::vector<ResolvedLora>& loras,
                                          int64_t steps, const std::function<std::vector<TextConditions>()>& encode);

/// The model that each step's U-Net and texts are. of_texts: the model with some texts, whose networks change under it.
Model over_stretches(const std::vector<TextStretch>& stretches, const AdaptedNetworks::Use& networks,
                     const std::vector<ResolvedLora>& loras,
                     const std::function<Model(const std::vector<TextConditions>& texts)>& of_texts);

/// Whether any of them changes over the steps.
bool vary(const std::vector<ResolvedLora>& loras);

}  // namespace sdtorch
