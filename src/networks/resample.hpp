// Halving and doubling the resolution.
#pragma once

#include "nn/conv.hpp"

namespace sdtorch {

/// A convolution of stride 2. padding 1: zeros all around, [B, C, h, w] → [B, C, ⌈h/2⌉, ⌈w/2⌉];
/// padding 0: one row and column of zeros at the end, → [B, C, ⌊h/2⌋, ⌊w/2⌋].
class Downsample2DImpl : public torch::nn::Module {
 public:
  Downsample2DImpl(int64_t channels, int64_t padding);

  at::Tensor forward(const at::Tensor& x) const;

 private:
  int64_t padding_;
  Conv2d conv_;
};
using Downsample2D = Layer<Downsample2DImpl>;

/// Nearest neighbours, then a convolution.
class Upsample2DImpl : public torch::nn::Module {
 public:
  explicit Upsample2DImpl(int64_t channels);

  /// x: [B, C, h, w], let go early if moved in; size: the height and width to come to → [B, C, size…]
  at::Tensor forward(at::Tensor x, at::IntArrayRef size) const;

 private:
  Conv2d conv_;
};
using Upsample2D = Layer<Upsample2DImpl>;

}  // namespace sdtorch
