// Convolution by standardised filters, padded as TensorFlow does.
#pragma once

#include <torch/nn/module.h>

#include "nn/layer.hpp"

namespace sdtorch {

/// Zeros around x [B, C, h, w], so that a kernel moved by `stride` comes to ⌈h / stride⌉ × ⌈w / stride⌉ places; where
/// their number is odd, the one more stands at the end (TensorFlow's `SAME`).
at::Tensor pad_same(const at::Tensor& x, int64_t kernel, int64_t stride);

/// Each filter is brought to mean 0 and variance 1 before it is used (Qiao et al. 2019). Without bias.
/// Registers `weight` [out, in, kernel, kernel], uninitialised: its values come from a checkpoint, unstandardised.
class StandardizedConv2dImpl : public torch::nn::Module {
 public:
  /// eps is added to the variance.
  StandardizedConv2dImpl(int64_t in, int64_t out, int64_t kernel, int64_t stride, double eps);

  /// x: [B, in, h, w] → [B, out, ⌈h / stride⌉, ⌈w / stride⌉]
  at::Tensor forward(const at::Tensor& x) const;

  at::Tensor weight;

 private:
  int64_t stride_;
  double eps_;
};
using StandardizedConv2d = Layer<StandardizedConv2dImpl>;

}  // namespace sdtorch
