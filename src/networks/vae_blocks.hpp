// The autoencoder's blocks (Esser et al. 2021, appendix A), between a picture and its latent.
#pragma once

#include <utility>
#include <vector>

#include "networks/config.hpp"
#include "networks/resample.hpp"
#include "networks/resnet_block.hpp"
#include "nn/linear.hpp"

namespace sdtorch {

/// Self-attention over all pixels, with one head, on a residual.
class VaeAttentionImpl : public torch::nn::Module {
 public:
  VaeAttentionImpl(int64_t channels, int64_t groups);

  /// x: [B, C, h, w] → the same shape.
  at::Tensor forward(const at::Tensor& x) const;

 private:
  GroupNorm group_norm_;
  Linear to_q_, to_k_, to_v_, to_out_;
};
using VaeAttention = Layer<VaeAttentionImpl>;

/// Residual block, attention (if the config has it), residual block.
class VaeMidBlockImpl : public torch::nn::Module {
 public:
  explicit VaeMidBlockImpl(const VaeConfig& config);

  /// x: [B, C, h, w] → the same shape.
  at::Tensor forward(at::Tensor x) const;

 private:
  ResnetBlock2D resnet_0_, resnet_1_;
  VaeAttention attention_ = nullptr;
};
using VaeMidBlock = Layer<VaeMidBlockImpl>;

/// DownEncoderBlock2D: layers_per_block residual blocks, then half the size but in the last block.
class DownEncoderBlock2DImpl : public torch::nn::Module {
 public:
  DownEncoderBlock2DImpl(const VaeConfig& config, size_t level);

  at::Tensor forward(at::Tensor x) const;

  const std::vector<ResnetBlock2D>& resnets() const { return resnets_; }
  /// The block's last step alone; the last block has none.
  at::Tensor halved(at::Tensor x) const { return downsampler_(std::move(x)); }

 private:
  std::vector<ResnetBlock2D> resnets_;
  Downsample2D downsampler_ = nullptr;
};
using DownEncoderBlock2D = Layer<DownEncoderBlock2DImpl>;

/// UpDecoderBlock2D: layers_per_block + 1 residual blocks, then twice the size but in the last block.
class UpDecoderBlock2DImpl : public torch::nn::Module {
 public:
  UpDecoderBlock2DImpl(const VaeConfig& config, size_t level);

  at::Tensor forward(at::Tensor x) const;

  const std::vector<ResnetBlock2D>& resnets() const { return resnets_; }
  /// The block's last step alone; the last block has none.
  at::Tensor doubled(at::Tensor x) const;

 private:
  std::vector<ResnetBlock2D> resnets_;
  Upsample2D upsampler_ = nullptr;
};
using UpDecoderBlock2D = Layer<UpDecoderBlock2DImpl>;

/// The autoencoder's norms and the epsilon that the reference fixes for them.
inline constexpr double vae_norm_eps = 1e-6;

/// The reference's last activation is this one, whatever the config's act_fn.
inline constexpr Activation vae_last_activation = Activation::silu;

}  // namespace sdtorch
