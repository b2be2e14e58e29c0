// How close is close enough: every tolerance of the tests stands here.
#pragma once

namespace tolerance {

/// Tensors at fp32 against diffusers' and transformers': max|a - b| / max|b|.
inline constexpr double tensor_relative = 1e-4;

/// The same for a network at its full published size, where longer sums round more.
inline constexpr double full_size_relative = 1e-3;

/// Our loss at bf16 and fp16 over the reference's at the same type.
inline constexpr double half_type_factor = 1.5;

/// One layer at bf16 against float64 on the same inputs, |a - b| / |b|: a rounding is 2^-9 at most.
inline constexpr double bf16_rounding = 4e-3;

/// A convolution by Winograd's filters likewise, whose transformed inputs and weights are rounded too.
inline constexpr double bf16_filtering = 6e-3;

/// Pixels in [0, 1] of a whole run against diffusers'.
inline constexpr double pixel = 2.0 / 255;

/// Their average over a picture.
inline constexpr double pixel_mean = 0.1 / 255;

/// Average difference of the pixels in [0, 1] of a whole run in fp16 or bf16 from the run in fp32.
inline constexpr double half_precision_pixel_mean = 6.0 / 255;

}  // namespace tolerance
