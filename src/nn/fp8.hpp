// Products of 8-bit floats, four bits of exponent and three of fraction (Micikevicius et al. 2022, "FP8 Formats for
// Deep Learning", E4M3), which GPUs from Hopper on have twice as many of as of 16-bit ones.
#pragma once

#include "nn/quantized.hpp"

namespace sdtorch {

/// x: […, n] in rows of n, each divided by a scale of its own, so that its largest number is E4M3's, and rounded.
struct RoundedToFp8 {
  at::Tensor values{};  ///< E4M3 [rows, n]
  at::Tensor scales{};  ///< fp32 [rows, 1]
};

/// x: fp32, fp16 or bf16.
RoundedToFp8 rounded_to_fp8(const at::Tensor& x);

/// A linear layer's weights in E4M3, each output channel by a scale of its own. Each token is rounded by its own at
/// each call, so that a picture is the same in any batch. Sums are fp32; what comes of them is rounded to bf16, which
/// every LibTorch gives where each row has a scale, and then has x's type.
class Fp8Weights final : public QuantizedWeights {
 public:
  /// Whether products take weights of that shape: both sizes multiples of 16.
  static bool take(const at::Tensor& weight);

  /// weight: [out, in]; bias: [out] or undefined.
  Fp8Weights(const at::Tensor& weight, const at::Tensor& bias);

  at::Tensor multiply(const at::Tensor& x) const override;

 private:
  RoundedToFp8 weight_;
  at::Tensor bias_{};  ///< bf16
};

}  // namespace sdtorch
