// BiT, a residual network with standardised filters (Kolesnikov et al. 2019), with transformers' key names.
#pragma once

#include <vector>

#include "networks/depth_config.hpp"
#include "nn/norm.hpp"
#include "nn/standardized_conv.hpp"

namespace sdtorch {

/// Three convolutions with norms, of which the middle one is narrow and may halve, on a residual.
class BitBottleneckImpl : public torch::nn::Module {
 public:
  /// A stage's first block, which the residual is brought to the width and size of, takes `in` channels; index: of the
  /// block in its stage.
  BitBottleneckImpl(const BitConfig& config, size_t stage, int64_t index);

  /// x: [B, in, h, w] → [B, C, h', w']
  at::Tensor forward(const at::Tensor& x) const;

 private:
  Activation activation_;
  StandardizedConv2d shortcut_conv_ = nullptr;
  GroupNorm shortcut_norm_ = nullptr;
  StandardizedConv2d conv1_, conv2_, conv3_;
  GroupNorm norm1_, norm2_, norm3_;
};
using BitBottleneck = Layer<BitBottleneckImpl>;

class BitBackboneImpl : public torch::nn::Module {
 public:
  BitBackboneImpl(const BitConfig& config, int64_t in_channels);

  /// picture: [B, in_channels, H, W] → each stage's output, [B, C, h, w]: a quarter of the size, and half of that in
  /// each stage after.
  std::vector<at::Tensor> forward(const at::Tensor& picture) const;

 private:
  BitConfig config_;
  StandardizedConv2d convolution_;
  GroupNorm norm_;
  std::vector<std::vector<BitBottleneck>> stages_{};
};
using BitBackbone = Layer<BitBackboneImpl>;

}  // namespace sdtorch
