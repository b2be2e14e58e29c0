// The kinds of adapters that LoRA files hold, each as what it adds to a layer's weight and bias.
#pragma once

#include <vector>

#include "adapters/lora_scaling.hpp"
#include "adapters/lora_tensors.hpp"
#include "adapters/weight_change.hpp"

namespace sdtorch {

/// All that a file's tensors of one layer change in it: one of the kinds in lora_low_rank.hpp and lora_rotations.hpp,
/// (IA)³ (Liu et al. 2022), or whole differences; differences of a bias beside any of them.
/// The first convolution of a U-Net that takes more than a latent may be given four channels.
/// Throws LoraMisfit where they are of no kind, lack a part, or do not fit the layer.
std::vector<WeightChange> lora_changes(const LoraLayer& layer, const LoraTensors& tensors, const LoraScaling& scaling);

}  // namespace sdtorch
