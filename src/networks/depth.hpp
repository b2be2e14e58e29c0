// The dense prediction transformer that estimates a picture's depth (Ranftl et al. 2021), with transformers' key names:
// DPTForDepthEstimation, DPT-Hybrid and the one of a plain ViT.
#pragma once

#include <utility>
#include <vector>

#include "networks/bit_backbone.hpp"
#include "networks/depth_config.hpp"
#include "networks/depth_neck.hpp"
#include "nn/norm.hpp"

namespace sdtorch {

/// A layer of the ViT (Dosovitskiy et al. 2020): self-attention and a feed-forward layer, each on a residual and after
/// its norm.
class VitLayerImpl : public torch::nn::Module {
 public:
  explicit VitLayerImpl(const DepthConfig& config);

  /// x: [B, L, hidden_size] → the same shape.
  at::Tensor forward(at::Tensor x) const;

 private:
  int64_t heads_;
  Activation activation_;
  LayerNorm norm_before_, norm_after_;
  Linear query_, key_, value_, attention_out_;
  Linear widen_, narrow_;
};
using VitLayer = Layer<VitLayerImpl>;

/// The picture's tokens.
class DepthEmbeddingsImpl : public torch::nn::Module {
 public:
  explicit DepthEmbeddingsImpl(const DepthConfig& config);

  /// What a picture is to the transformer, and to the neck besides it.
  struct Tokens {
    at::Tensor tokens{};                 ///< [B, 1 + h·w, hidden_size]
    std::vector<at::Tensor> features{};  ///< the backbone's first two stages, [B, C, h', w']
  };
  /// picture: [B, num_channels, H, W]; grid: h, w
  Tokens forward(const at::Tensor& picture, at::IntArrayRef grid) const;

 private:
  /// Stretched to the grid → [1, 1 + h·w, hidden_size]
  at::Tensor positions(at::IntArrayRef grid) const;

  BitBackbone backbone_ = nullptr;
  Conv2d projection_ = nullptr;
  at::Tensor cls_token_, position_embeddings_;
};
using DepthEmbeddings = Layer<DepthEmbeddingsImpl>;

class DepthEstimator : public torch::nn::Module {
 public:
  explicit DepthEstimator(const DepthConfig& config);

  /// picture: [B, num_channels, H, W], normalised as its preprocessor says; a hybrid's H and W are image_size, a plain
  /// ViT's any multiples of patch_size → how near each place is, from 0 on, [B, H', W']: the coarsest of the n
  /// features' size times 2^(n + 1), which with the published sizes is the picture's. Throws ErrorKind::bug for another
  /// size.
  at::Tensor forward(const at::Tensor& picture) const;

  const DepthConfig& config() const { return config_; }

 private:
  /// Of all depths, from the finest on, [B, fusion_hidden_size, h, w] each.
  std::vector<at::Tensor> features(const at::Tensor& picture) const;

  DepthConfig config_;
  DepthEmbeddings embeddings_;
  std::vector<VitLayer> layers_{};
  std::vector<DepthReassembly> reassemblies_{};
  std::vector<Conv2d> convs_{};
  std::vector<DepthFusion> fusions_{};  ///< from the coarsest feature to the finest, as they run
  Conv2d head_0_, head_2_, head_4_;
};

}  // namespace sdtorch
