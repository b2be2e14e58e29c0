// AltDiffusion's text encoder: XLM-RoBERTa (Conneau et al. 2020) and a projection (Chen et al. 2022), with the key
// names of diffusers' RobertaSeriesModelWithTransformation.
#pragma once

#include <vector>

#include "networks/config.hpp"
#include "nn/embedding.hpp"
#include "nn/linear.hpp"
#include "nn/norm.hpp"

namespace sdtorch {

/// One layer: self-attention and a feed-forward layer, a norm after each residual (Vaswani et al. 2017).
class XlmRobertaLayerImpl : public torch::nn::Module {
 public:
  explicit XlmRobertaLayerImpl(const XlmRobertaConfig& config);

  /// x: [B, L, C]; key_mask: as attention's → [B, L, C].
  at::Tensor forward(at::Tensor x, const at::Tensor& key_mask) const;

 private:
  int64_t heads_;
  Activation activation_;
  Linear query_, key_, value_, attention_dense_;
  LayerNorm attention_norm_;
  Linear intermediate_dense_, output_dense_;
  LayerNorm output_norm_;
};
using XlmRobertaLayer = Layer<XlmRobertaLayerImpl>;

class XlmRobertaTextModel : public torch::nn::Module {
 public:
  explicit XlmRobertaTextModel(const XlmRobertaConfig& config);

  /// tokens: int64 [B, L], L <= config.longest_text(); mask: bool [B, L], true where a token is seen, padding is not
  /// (no use_attention_mask in the config: all are); learned: vectors [n, C] for the n ids above the vocabulary, or
  /// undefined → the projected hidden state, [B, L, project_dim].
  /// Throws ErrorKind::model for a token or a length that the model has no embedding for.
  at::Tensor forward(const at::Tensor& tokens, const at::Tensor& mask, const at::Tensor& learned = {}) const;

  const XlmRobertaConfig& config() const { return config_; }

 private:
  at::Tensor embed(const at::Tensor& tokens, const at::Tensor& learned) const;

  XlmRobertaConfig config_;
  Embedding word_embeddings_, position_embeddings_, token_type_embeddings_;
  LayerNorm embedding_norm_;
  std::vector<XlmRobertaLayer> layers_;
  LayerNorm pre_norm_ = nullptr;
  Linear transformation_ = nullptr;
};

}  // namespace sdtorch
