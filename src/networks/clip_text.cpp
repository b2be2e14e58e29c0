#include "networks/clip_text.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "core/error.hpp"
#include "nn/attach.hpp"
#include "nn/attention.hpp"

namespace sdtorch {
namespace {

/// What configs say whose text is pooled at the highest id (see ClipTextModel::encode).
constexpr int64_t eos_of_old_files = 2;

/// Where one row of tokens ends; at its start where the end token is missing, as in the reference.
int64_t end_of_text(at::IntArrayRef tokens, int64_t eos) {
  if (eos == eos_of_old_files) return std::ranges::max_element(tokens) - tokens.begin();
  const auto* const found = std::ranges::find(tokens, eos);
  return found == tokens.end() ? 0 : found - tokens.begin();
}

}  // namespace

ClipEncoderLayerImpl::ClipEncoderLayerImpl(const ClipLayerOptions& o)
    : heads_(o.heads),
      causal_(o.causal),
      activation_(o.activation),
      layer_norm1_(attach(*this, "layer_norm1", LayerNorm(o.width, o.eps))),
      q_proj_(attach(*this, "self_attn.q_proj", Linear(o.width, o.width))),
      k_proj_(attach(*this, "self_attn.k_proj", Linear(o.width, o.width))),
      v_proj_(attach(*this, "self_attn.v_proj", Linear(o.width, o.width))),
      out_proj_(attach(*this, "self_attn.out_proj", Linear(o.width, o.width))),
      layer_norm2_(attach(*this, "layer_norm2", LayerNorm(o.width, o.eps))),
      fc1_(attach(*this, "mlp.fc1", Linear(o.width, o.inner))),
      fc2_(attach(*this, "mlp.fc2", Linear(o.inner, o.width))) {}

at::Tensor ClipEncoderLayerImpl::forward(at::Tensor x, const at::Tensor& key_mask) const {
  const at::Tensor h = layer_norm1_(x);
  x = x + out_proj_(attention(q_proj_(h), k_proj_(h), v_proj_(h),
                              {.heads = heads_, .causal = causal_, .key_mask = key_mask}));
  return x + fc2_(activate(fc1_(layer_norm2_(x)), activation_));
}

ClipTextModel::ClipTextModel(const ClipTextConfig& c)
    : config_(c),
      token_embedding_(attach(*this, "embeddings.token_embedding", Embedding(c.vocab_size, c.hidden_size))),
      position_embedding_(
          attach(*this, "embeddings.position_embedding", Embedding(c.max_position_embeddings, c.hidden_size))),
      final_layer_norm_(attach(*this, "final_layer_norm", LayerNorm(c.hidden_size, c.layer_norm_eps))) {
  const ClipLayerOptions options{.width = c.hidden_size,
                                 .inner = c.intermediate_size,
                                 .heads = c.num_attention_heads,
                                 .activation = c.hidden_act,
                                 .eps = c.layer_norm_eps,
                                 .causal = true};
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) {
    layers_.push_back(attach(*this, fmt::format("encoder.layers.{}", i), ClipEncoderLayer(options)));
  }
  if (c.projection_dim > 0) {
    text_projection_ =
        attach(*this, "text_projection", Linear(c.hidden_size, c.projection_dim, LinearOptions{.bias = false}));
  }
}

at::Tensor ClipTextModel::embed(const at::Tensor& tokens, const LearnedVectors& learned) const {
  const int64_t length = tokens.size(-1);
  if (length > config_.max_position_embeddings) {
    throw Error(ErrorKind::model, {.file = "text encoder",
                                   .reason = fmt::format("{} tokens, but max_position_embeddings is {}", length,
                                                         config_.max_position_embeddings)});
  }
  const int64_t known = config_.vocab_size + (learned.rows.defined() ? learned.rows.size(0) : 0);
  const auto outside = tokens.masked_select((tokens < 0).logical_or(tokens >= known));
  if (outside.numel() > 0) {
    throw Error(ErrorKind::model, {.file = "text encoder",
                                   .reason = fmt::format("token {} is outside its vocabulary of {}",
                                                         outside[0].item<int64_t>(), config_.vocab_size),
                                   .hint = "tokenizer and text encoder are of different models"});
  }
  return token_embedding_(tokens, learned.rows) + position_embedding_(at::arange(length, tokens.options()));
}

at::Tensor ClipTextModel::forward(const at::Tensor& tokens, const ClipTextUse& use) const {
  at::Tensor x = embed(tokens, use.learned);
  const size_t taken = layers_.size() - static_cast<size_t>(use.skipped);
  for (size_t i = 0; i < taken; ++i) x = layers_[i](x, use.key_mask);
  return final_layer_norm_(x);
}

ClipTextStates ClipTextModel::encode(const at::Tensor& tokens, const ClipTextUse& use) const {
  at::Tensor x = embed(tokens, use.learned);
  const size_t taken = layers_.size() - static_cast<size_t>(1 + use.skipped);
  for (size_t i = 0; i < taken; ++i) x = layers_[i](x, use.key_mask);
  ClipTextStates states{.penultimate = x};
  if (!text_projection_) return states;
  for (size_t i = taken; i < layers_.size(); ++i) x = layers_[i](x, use.key_mask);
  const bool all_may_end = use.learned.may_end_the_text;
  const at::Tensor ending = all_may_end ? tokens : tokens.masked_fill(tokens.ge(config_.vocab_size), 0);
  states.pooled = text_projection_(pool(final_layer_norm_(x), ending));
  return states;
}

at::Tensor ClipTextModel::pool(const at::Tensor& hidden, const at::Tensor& tokens) const {
  const at::Tensor rows = tokens.to(at::kCPU).contiguous();
  const auto length = static_cast<size_t>(rows.size(1));
  std::vector<at::Tensor> pooled;
  for (int64_t i = 0; i < rows.size(0); ++i) {
    const at::IntArrayRef row(rows[i].const_data_ptr<int64_t>(), length);
    pooled.push_back(hidden[i][end_of_text(row, config_.eos_token_id)]);
  }
  return at::stack(pooled);
}

}  // namespace sdtorch
