// The kinds of adapters that LoRA files hold, each as what it adds to a layer's weight.
#pragma once

#include <optional>
#include <vector>

#include "adapters/lora_tensors.hpp"
#include "adapters/weight_change.hpp"

namespace sdtorch {

/// All that a file's tensors of one layer change in it.
/// Throws LoraMisfit where they are of no kind, lack a part, or do not fit the layer.
std::vector<WeightChange> lora_changes(const LoraLayer& layer, LoraTensors tensors);

}  // namespace sdtorch
