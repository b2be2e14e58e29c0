// Products of 8-bit integers in place of those of floats, by oneDNN: twice as many at once.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "nn/quantized.hpp"

namespace sdtorch {

/// Whether this CPU has instructions for them (AVX512-VNNI, AMX) and this LibTorch calls them.
bool has_int8_products();

/// Each row's numbers as 128 + x / scale, rounded: the largest of them is 127 scales from 0.
struct RoundedToInt8 {
  at::Tensor values{};  ///< uint8, of x's shape and layout
  at::Tensor scales{};  ///< of x's type, [rows]: it holds them exactly
};

/// x: fp32, bf16 or fp16, dense in memory; rows: so many equal parts of it, as they lie there.
RoundedToInt8 rounded_to_int8(const at::Tensor& x, int64_t rows);

/// A layer's weights in int8, each output channel by a scale of its own, ± 127 scales at most. What they are multiplied
/// by is rounded at each call: each token by a scale of its own in a linear layer, each picture in a convolution, so
/// that a picture is the same in any batch. Sums are exact in int32, and what comes of them has x's type.
class Int8Weights final : public QuantizedWeights {
 public:
  /// weight: [out, in]; bias: [out] or undefined.
  Int8Weights(const at::Tensor& weight, const at::Tensor& bias);

  /// weight: [out, in, k, k], of a convolution.
  Int8Weights(const at::Tensor& weight, const at::Tensor& bias, int64_t stride, int64_t padding);

  /// A convolution's output has the channels innermost.
  at::Tensor multiply(const at::Tensor& x) const override;

 private:
  void round(const at::Tensor& weight);
  at::Tensor multiply_tokens(const at::Tensor& x) const;
  at::Tensor convolve(const at::Tensor& x) const;

  at::Tensor packed_{}, scales_{}, zero_points_{}, bias_{};
  bool convolution_ = false;
  int64_t stride_ = 1, padding_ = 0;
};

}  // namespace sdtorch
