// Convolutions of 3×3 with 16 multiplications for each 2×2 pixels of the output in the place of 36 (Winograd's minimal
// filtering F(2×2, 3×3); Lavin & Gray 2016, section 4.1), in bf16 with fp32 sums.
#pragma once

#include <ATen/ATen.h>

namespace sdtorch::cpu {

/// Whether a convolution's weights [out, in, 3, 3], moved by one and padded by one, are taken so: bf16 on a CPU with
/// AVX-512's products of it and without matrix units, which multiply 36 sooner; 16 channels in and 64 out or multiples.
bool can_filter(const at::Tensor& weight, int64_t stride, int64_t padding);

/// weight: as above → bf16 [out / 64, in / 2, 9, 64, 2]. The sixteen that a filter's nine become are made at
/// each call: kept, they would take 16/9 of the memory, and be read from it.
at::Tensor pack_filters(const at::Tensor& weight);

/// The weights that were packed, [out, in, 3, 3].
at::Tensor weight_of_filters(const at::Tensor& packed);

/// x: bf16 [B, in, h, w], channels innermost; bias: [out] or undefined → [B, out, h, w], channels innermost.
/// Its rounding is one and a half times (inputs behind a SiLU) to two and a half times (inputs about zero) that of a
/// plain convolution in bf16: sums of four inputs, and of weights, are rounded before they are multiplied.
at::Tensor filtered(const at::Tensor& x, const at::Tensor& packed, const at::Tensor& bias);

/// filtered() of x with each pixel doubled along both axes, bit for bit, → [B, out, 2 h, 2 w]. In a tile the two middle
/// rows and columns are then equal, and so seven of a filter's sixteen numbers meet zeros, and are passed over: nine
/// multiplications for four pixels in the place of sixteen, or of a plain convolution's 36.
at::Tensor filtered_doubled(const at::Tensor& x, const at::Tensor& packed, const at::Tensor& bias);

}  // namespace sdtorch::cpu
