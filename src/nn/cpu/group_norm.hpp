// Normalisation over groups of channels, for pictures whose channels lie innermost: LibTorch's own is for the other
// order, or else loses digits where a mean is large beside its deviation.
#pragma once

#include <ATen/ATen.h>

namespace sdtorch::cpu {

struct GroupNormParameters {
  at::Tensor weight, bias;  ///< [C], of x's type
  int64_t groups = 1;       ///< divides C
  double eps = 0;           ///< added to the variance
  bool silu = false;        ///< the result is activated
};

/// Whether tensors like it are its business: fp32 or bf16 [B, C, h, w] on a CPU, not empty.
bool group_norm_takes(const at::Tensor& x);

/// x: fp32 or bf16, as above; shift: of x's type [B, C], added to every pixel of x before it is normalised, or
/// undefined → [B, C, h, w] with the channels innermost. Two reads of x and one write; sums are fp32 over 64 pixels, of
/// differences from a pixel of the channel's own, and fp64 beyond.
at::Tensor group_norm(const at::Tensor& x, const GroupNormParameters& parameters, const at::Tensor& shift);

}  // namespace sdtorch::cpu
