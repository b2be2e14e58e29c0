// Self-attention guidance: away from what the network would say of a picture blurred where it looks most (Hong et al.
// 2023, "Improving Sample Quality of Diffusion Models Using Self-Attention Guidance").
#pragma once

#include <ATen/ATen.h>

#include <cstddef>

#include "diffusion/prediction.hpp"

namespace sdtorch {

struct DegradedOptions {
  Prediction prediction = Prediction::epsilon;
  Mixture at{};       ///< of x
  size_t levels = 1;  ///< of the U-Net: it halves the latent levels - 1 times, rounding up
};

/// The least side of a latent whose blur's borders can be mirrored.
inline constexpr int64_t least_side_to_blur = 5;

/// x: fp32 [B, 4, h, w], h and w at least least_side_to_blur, at unit variance; output: the network's for it; map: fp32
/// [B, heads, L, L], the mid block's self-attention → x with its x0 blurred (a Gaussian of deviation 1, 9 × 9) where
/// the positions, averaged over the heads, are looked at by more than their share, and its noise as it was (Hong et al.
/// 2023, Algorithm 2).
at::Tensor degraded(const at::Tensor& x, const at::Tensor& output, const at::Tensor& map,
                    const DegradedOptions& options);

}  // namespace sdtorch
