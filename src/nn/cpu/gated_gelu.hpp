// The activation of a transformer's feed-forward layer (Shazeer 2020, GEGLU), in one pass.
#pragma once

#include <ATen/ATen.h>

namespace sdtorch::cpu {

/// Whether tensors like it are its business: bf16 on a CPU, dense.
bool gated_gelu_takes(const at::Tensor& x);

/// x: as above […, 2 width] → […, width]: its first half by the GELU of its second, rounded once.
at::Tensor gated_gelu(const at::Tensor& x);

}  // namespace sdtorch::cpu
