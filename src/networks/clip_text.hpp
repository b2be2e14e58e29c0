// CLIP's text encoder (Radford et al. 2021), with transformers' key names.
#pragma once

#include <vector>

#include "networks/config.hpp"
#include "nn/embedding.hpp"
#include "nn/linear.hpp"
#include "nn/norm.hpp"

namespace sdtorch {

struct ClipLayerOptions {
  int64_t width = 0;
  int64_t inner = 0;  ///< of the feed-forward layer
  int64_t heads = 1;  ///< divides width
  Activation activation = Activation::quick_gelu;
  double eps = 1e-5;    ///< of the norms
  bool causal = false;  ///< no token sees those behind it: a text's
};

/// One layer: self-attention and a feed-forward layer, each on a residual and after its norm.
class ClipEncoderLayerImpl : public torch::nn::Module {
 public:
  explicit ClipEncoderLayerImpl(const ClipLayerOptions& options);

  /// x: [B, L, C] → the same shape.
  at::Tensor forward(at::Tensor x) const;

 private:
  int64_t heads_;
  bool causal_;
  Activation activation_;
  LayerNorm layer_norm1_;
  Linear q_proj_, k_proj_, v_proj_, out_proj_;
  LayerNorm layer_norm2_;
  Linear fc1_, fc2_;
};
using ClipEncoderLayer = Layer<ClipEncoderLayerImpl>;

/// What SDXL takes from a text encoder.
struct ClipTextStates {
  at::Tensor penultimate{};  ///< before the last layer, without the final norm, [B, L, C]
  at::Tensor pooled{};       ///< the end token's final state, projected, [B, projection_dim]; undefined without a head
};

/// CLIPTextModel, or CLIPTextModelWithProjection where the config says how wide that is.
class ClipTextModel : public torch::nn::Module {
 public:
  explicit ClipTextModel(const ClipTextConfig& config);

  /// tokens: int64 [B, L], L <= max_position_embeddings → last hidden state after the final norm, [B, L, C].
  /// Throws ErrorKind::model for a token or a length that the model has no embedding for.
  at::Tensor forward(const at::Tensor& tokens) const;

  /// tokens: as forward's. The text is pooled at its first eos_token_id; where the config still says 2, as files older
  /// than transformers 4.31 do, at its highest id, CLIP's own rule.
  ClipTextStates encode(const at::Tensor& tokens) const;

  const ClipTextConfig& config() const { return config_; }

 private:
  at::Tensor embed(const at::Tensor& tokens) const;
  at::Tensor pool(const at::Tensor& hidden, const at::Tensor& tokens) const;

  ClipTextConfig config_;
  Embedding token_embedding_, position_embedding_;
  std::vector<ClipEncoderLayer> layers_;
  LayerNorm final_layer_norm_;
  Linear text_projection_ = nullptr;
};

}  // namespace sdtorch
