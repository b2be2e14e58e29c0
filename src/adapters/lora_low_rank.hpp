// Differences that are products of small matrices, with or without DoRA's magnitudes around them.
#pragma once

#include <vector>

#include "adapters/lora_scaling.hpp"
#include "adapters/lora_tensors.hpp"
#include "adapters/weight_change.hpp"

namespace sdtorch {

// Each takes its parts out of the tensors, and throws LoraMisfit where one is missing or does not fit the layer.

/// LoRA (Hu et al. 2021) and LoCon: ΔW = α/r · up·down; with a middle, up ×₁ mid ×₂ down (Tucker's form of a
/// convolution). A bias behind `up` (PEFT's `lora_bias`) changes the layer's. Of an embedding PEFT's are transposed.
std::vector<WeightChange> lora_change(const LoraLayer& layer, LoraTensors& tensors, const LoraScaling& scaling);

/// LoHa (Hyeon-Woo et al. 2021): ΔW = α/r · (a₁·b₁) ⊙ (a₂·b₂), each in Tucker's form where there are cores t₁, t₂.
std::vector<WeightChange> loha_change(const LoraLayer& layer, LoraTensors& tensors, const LoraScaling& scaling);

/// LoKr (Yeh et al. 2023): ΔW = α/r · w₁ ⊗ w₂, each whole or a product; where both are whole there is no rank, and α
/// says nothing.
std::vector<WeightChange> lokr_change(const LoraLayer& layer, LoraTensors& tensors, const LoraScaling& scaling);

/// GLoRA (Chavan et al. 2023) as LyCORIS has it: ΔW = α/r · (W·a₁·a₂ + b₁·b₂).
std::vector<WeightChange> glora_change(const LoraLayer& layer, LoraTensors& tensors, const LoraScaling& scaling);

}  // namespace sdtorch
