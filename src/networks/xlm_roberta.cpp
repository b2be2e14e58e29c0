#include "networks/xlm_roberta.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/error.hpp"
#include "nn/attach.hpp"
#include "nn/attention.hpp"

namespace sdtorch {

XlmRobertaLayerImpl::XlmRobertaLayerImpl(const XlmRobertaConfig& c)
    : heads_(c.num_attention_heads),
      activation_(c.hidden_act),
      query_(attach(*this, "attention.self.query", Linear(c.hidden_size, c.hidden_size))),
      key_(attach(*this, "attention.self.key", Linear(c.hidden_size, c.hidden_size))),
      value_(attach(*this, "attention.self.value", Linear(c.hidden_size, c.hidden_size))),
      attention_dense_(attach(*this, "attention.output.dense", Linear(c.hidden_size, c.hidden_size))),
      attention_norm_(attach(*this, "attention.output.LayerNorm", LayerNorm(c.hidden_size, c.layer_norm_eps))),
      intermediate_dense_(attach(*this, "intermediate.dense", Linear(c.hidden_size, c.intermediate_size))),
      output_dense_(attach(*this, "output.dense", Linear(c.intermediate_size, c.hidden_size))),
      output_norm_(attach(*this, "output.LayerNorm", LayerNorm(c.hidden_size, c.layer_norm_eps))) {}

at::Tensor XlmRobertaLayerImpl::forward(at::Tensor x, const at::Tensor& key_mask) const {
  const at::Tensor seen = attention(query_(x), key_(x), value_(x), {.heads = heads_, .key_mask = key_mask});
  x = attention_norm_(attention_dense_(seen) + x);
  return output_norm_(output_dense_(activate(intermediate_dense_(x), activation_)) + x);
}

XlmRobertaTextModel::XlmRobertaTextModel(const XlmRobertaConfig& c)
    : config_(c),
      word_embeddings_(attach(*this, "roberta.embeddings.word_embeddings", Embedding(c.vocab_size, c.hidden_size))),
      position_embeddings_(
          attach(*this, "roberta.embeddings.position_embeddings", Embedding(c.max_position_embeddings, c.hidden_size))),
      token_type_embeddings_(
          attach(*this, "roberta.embeddings.token_type_embeddings", Embedding(c.type_vocab_size, c.hidden_size))),
      embedding_norm_(attach(*this, "roberta.embeddings.LayerNorm", LayerNorm(c.hidden_size, c.layer_norm_eps))) {
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) {
    layers_.push_back(attach(*this, fmt::format("roberta.encoder.layer.{}", i), XlmRobertaLayer(c)));
  }
  if (c.has_pre_transformation) {
    pre_norm_ = attach(*this, "pre_LN", LayerNorm(c.hidden_size, c.layer_norm_eps));
    transformation_ = attach(*this, "transformation_pre", Linear(c.hidden_size, c.project_dim));
  } else {
    transformation_ = attach(*this, "transformation", Linear(c.hidden_size, c.project_dim));
  }
}

at::Tensor XlmRobertaTextModel::embed(const at::Tensor& tokens, const at::Tensor& learned) const {
  const int64_t length = tokens.size(-1);
  if (length > config_.longest_text()) {
    throw Error(ErrorKind::model, {.file = "text encoder",
                                   .reason = fmt::format("{} tokens, but max_position_embeddings is {}", length,
                                                         config_.max_position_embeddings)});
  }
  const int64_t known = config_.vocab_size + (learned.defined() ? learned.size(0) : 0);
  const auto outside = tokens.masked_select((tokens < 0).logical_or(tokens >= known));
  if (outside.numel() > 0) {
    throw Error(ErrorKind::model, {.file = "text encoder",
                                   .reason = fmt::format("token {} is outside its vocabulary of {}",
                                                         outside[0].item<int64_t>(), config_.vocab_size),
                                   .hint = "tokenizer and text encoder are of different models"});
  }
  // fairseq's numbering: padding stands at its own id, the others are counted from the one above it.
  const at::Tensor is_text = tokens.ne(config_.pad_token_id).to(at::kLong);
  const at::Tensor positions = is_text.cumsum(-1) * is_text + config_.pad_token_id;
  const at::Tensor words = word_embeddings_(tokens, learned);
  const at::Tensor x = words + token_type_embeddings_->weight[0] + position_embeddings_(positions);
  return embedding_norm_(x);
}

at::Tensor XlmRobertaTextModel::forward(const at::Tensor& tokens, const at::Tensor& mask,
                                        const at::Tensor& learned) const {
  at::Tensor x = embed(tokens, learned);
  const at::Tensor key_mask = config_.use_attention_mask ? mask : at::Tensor();
  // The newer models take the state before the last layer, normed once more.
  const size_t used = layers_.size() - (config_.has_pre_transformation ? 1 : 0);
  for (size_t i = 0; i < used; ++i) x = layers_[i](x, key_mask);
  return transformation_(config_.has_pre_transformation ? pre_norm_(x) : x);
}

}  // namespace sdtorch
