// Convolutions of 3×3 with 16 multiplications for each 2×2 pixels of the output in the place of 36 (Winograd's minimal
// filtering F(2×2, 3×3); Lavin & Gray 2016, section 4.1), in bf16 with fp32 sums.
#pragma once

#include <ATen/ATen.h>

namespace sdtorch::cpu {

/// Whether a convolution's weights [out, in, 3, 3], moved by one and padded by one, are turned into such filters: bf16
/// on a CPU with AVX-512's products of it and without matrix units, which multiply 36 sooner; 16 channels in and 64 out
/// or multiples. Filters take 16/9 of the weights' memory: those of the most channels, which work on the fewest pixels,
/// stay.
bool can_filter(const at::Tensor& weight, int64_t stride, int64_t padding);

/// weight: as above → bf16 [16, out / 64, in / 2, 64, 2], by place in the 4×4 of transformed filters.
at::Tensor filters(const at::Tensor& weight);

/// The weights that such filters are of, [out, in, 3, 3], but for what was rounded.
at::Tensor weight_of_filters(const at::Tensor& filters);

/// x: bf16 [B, in, h, w], channels innermost; bias: [out] or undefined → [B, out, h, w], channels innermost.
/// Its rounding is one and a half times (inputs behind a SiLU) to two and a half times (inputs about zero) that of a
/// plain convolution in bf16: sums of four inputs, and of weights, are rounded before they are multiplied.
at::Tensor filtered(const at::Tensor& x, const at::Tensor& filters, const at::Tensor& bias);

}  // namespace sdtorch::cpu
