// Adapters that turn a layer's outputs or inputs: orthogonal finetuning (Qiu et al. 2023), and its butterflies (Liu et
// al. 2023).
#pragma once

#include <vector>

#include "adapters/lora_scaling.hpp"
#include "adapters/lora_tensors.hpp"
#include "adapters/weight_change.hpp"

namespace sdtorch {

// All interpolate towards not turning: R_w = I + w·(R − I), each stage of a butterfly by itself. A `rescale` of the
// outputs counts in full at every scale, as LyCORIS has it.

/// LyCORIS's and kohya's `oft_blocks` [k, n, n], whose R is Cayley's (I + Q)(I − Q)⁻¹ of Q = B − Bᵀ and turns the
/// outputs: block k of W becomes R_kᵀ·W_k; [m, k, n, n] is BOFT, whose stages multiply by R. ‖Q‖ over all blocks is
/// limited to α·out; α = 0 is no limit to LyCORIS, and to kohya's tools no rotation. `oft_diag` (LyCORIS before 2.1) is
/// R itself.
std::vector<WeightChange> rotation_change(const LoraLayer& layer, LoraTensors& tensors, const LoraScaling& scaling);

/// PEFT's `oft_R` [k or 1, n(n − 1)/2], the upper triangles of Q, and `boft_R` [1, k, n, n] with `boft_s` [out, 1]:
/// they turn the inputs, kernel and all, W·Rᵀ.
std::vector<WeightChange> peft_rotation_change(const LoraLayer& layer, LoraTensors& tensors,
                                               const LoraScaling& scaling);

}  // namespace sdtorch
