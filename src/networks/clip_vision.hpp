// CLIP's image encoder (Radford et al. 2021), with transformers' key names.
#pragma once

#include <vector>

#include "networks/clip_text.hpp"
#include "networks/clip_vision_config.hpp"
#include "nn/conv.hpp"
#include "nn/embedding.hpp"

namespace sdtorch {

/// CLIPVisionModelWithProjection.
class ClipVisionModel : public torch::nn::Module {
 public:
  explicit ClipVisionModel(const ClipVisionConfig& config);

  /// pixels: [B, 3, image_size, image_size], normalised → the embedding of each picture, [B, projection_dim].
  at::Tensor embed(const at::Tensor& pixels) const;

  /// → the state before the last layer, without the final norm, [B, tokens, hidden_size].
  at::Tensor penultimate(const at::Tensor& pixels) const;

  const ClipVisionConfig& config() const { return config_; }

 private:
  at::Tensor tokens_of(const at::Tensor& pixels) const;

  ClipVisionConfig config_;
  at::Tensor class_embedding_;  ///< [hidden_size]
  Conv2d patch_embedding_;
  Embedding position_embedding_;
  LayerNorm pre_layernorm_;
  std::vector<ClipEncoderLayer> layers_;
  LayerNorm post_layernorm_;
  Linear visual_projection_;
};

}  // namespace sdtorch
