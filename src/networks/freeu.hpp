// FreeU: the way up trusts its own features more and the skips' coarse ones less (Si et al. 2024, "FreeU: Free Lunch in
// Diffusion U-Net").
#pragma once

#include <ATen/ATen.h>

#include <cstddef>

namespace sdtorch {

/// Factors of the two coarsest up blocks. 1 everywhere changes nothing but by rounding.
struct FreeU {
  double b1 = 1, b2 = 1;  ///< of half of the features' channels, in the coarsest and in the next block
  double s1 = 1, s2 = 1;  ///< of the skips' lowest frequencies, likewise
};

/// Before an up block joins them: x: [B, C, h, w], of which the first C/2 channels are scaled (eq. 3 without the mean's
/// weights, as the reference has it); skip: [B, C', h, w], of whose shifted spectrum the four coefficients around its
/// middle are scaled (eq. 5 and 6), in fp32. block: 0 is the coarsest; from 2 on nothing changes.
void apply_freeu(const FreeU& freeu, size_t block, at::Tensor& x, at::Tensor& skip);

}  // namespace sdtorch
