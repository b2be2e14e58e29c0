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

  /// x: [B, L, C]; key_mask: bool [B, L], true where a token is seen, or undefined → x's shape.
  at::Tensor forward(at::Tensor x, const at::Tensor& key_mask = {}) const;

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

/// Learned vectors that stand for ids above a text encoder's vocabulary.
struct LearnedVectors {
  at::Tensor rows{};             ///< [n, C] of any device and type: of the ids from vocab_size on; undefined: none
  bool may_end_the_text = true;  ///< see ClipTextModel::encode
};

/// What is taken of a text encoder's layers, and what they see.
struct ClipTextUse {
  int64_t skipped = 0;    ///< layers that are left out before the one that is taken otherwise; -1 for SDXL: its last
  at::Tensor key_mask{};  ///< bool [B, L], true where a token is seen; undefined: all are
  LearnedVectors learned{};
};

/// What SDXL takes from a text encoder.
struct ClipTextStates {
  at::Tensor penultimate{};  ///< before the last layer (see ClipTextUse), without the final norm, [B, L, C]
  at::Tensor pooled{};       ///< the end token's final state, projected, [B, projection_dim]; undefined without a head
};

/// CLIPTextModel, or CLIPTextModelWithProjection where the config says how wide that is.
class ClipTextModel : public torch::nn::Module {
 public:
  explicit ClipTextModel(const ClipTextConfig& config);

  /// tokens: int64 [B, L], L <= max_position_embeddings → last hidden state after the final norm, [B, L, C].
  /// Throws ErrorKind::model for a token or a length that the model has no embedding for.
  at::Tensor forward(const at::Tensor& tokens, const ClipTextUse& use = {}) const;

  /// tokens: as forward's. The text is pooled at its first eos_token_id; where the config still says 2, as files older
  /// than transformers 4.31 do, at its highest id, CLIP's own rule. That may be a learned vector's, as in diffusers,
  /// whose picture is then another than A1111's, unless LearnedVectors say otherwise.
  ClipTextStates encode(const at::Tensor& tokens, const ClipTextUse& use = {}) const;

  const ClipTextConfig& config() const { return config_; }

 private:
  at::Tensor embed(const at::Tensor& tokens, const LearnedVectors& learned) const;
  at::Tensor pool(const at::Tensor& hidden, const at::Tensor& tokens) const;

  ClipTextConfig config_;
  Embedding token_embedding_, position_embedding_;
  std::vector<ClipEncoderLayer> layers_;
  LayerNorm final_layer_norm_;
  Linear text_projection_ = nullptr;
};

}  // namespace sdtorch
