#include "sdtorch/networks/clip_text.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "sdtorch/core/error.hpp"
#include "sdtorch/nn/attach.hpp"
#include "sdtorch/nn/attention.hpp"

namespace sdtorch {

ClipEncoderLayerImpl::ClipEncoderLayerImpl(const ClipTextConfig& c)
    : heads_(c.num_attention_heads),
      activation_(c.hidden_act),
      layer_norm1_(attach(*this, "layer_norm1", LayerNorm(c.hidden_size, c.layer_norm_eps))),
      q_proj_(attach(*this, "self_attn.q_proj", Linear(c.hidden_size, c.hidden_size))),
      k_proj_(attach(*this, "self_attn.k_proj", Linear(c.hidden_size, c.hidden_size))),
      v_proj_(attach(*this, "self_attn.v_proj", Linear(c.hidden_size, c.hidden_size))),
      out_proj_(attach(*this, "self_attn.out_proj", Linear(c.hidden_size, c.hidden_size))),
      layer_norm2_(attach(*this, "layer_norm2", LayerNorm(c.hidden_size, c.layer_norm_eps))),
      fc1_(attach(*this, "mlp.fc1", Linear(c.hidden_size, c.intermediate_size))),
      fc2_(attach(*this, "mlp.fc2", Linear(c.intermediate_size, c.hidden_size))) {}

at::Tensor ClipEncoderLayerImpl::forward(at::Tensor x) {
  const at::Tensor h = layer_norm1_(x);
  x = x + out_proj_(attention(q_proj_(h), k_proj_(h), v_proj_(h), {.heads = heads_, .causal = true}));
  return x + fc2_(activate(fc1_(layer_norm2_(x)), activation_));
}

ClipTextModel::ClipTextModel(const ClipTextConfig& c)
    : config_(c),
      token_embedding_(attach(*this, "embeddings.token_embedding", Embedding(c.vocab_size, c.hidden_size))),
      position_embedding_(
          attach(*this, "embeddings.position_embedding", Embedding(c.max_position_embeddings, c.hidden_size))),
      final_layer_norm_(attach(*this, "final_layer_norm", LayerNorm(c.hidden_size, c.layer_norm_eps))) {
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) {
    layers_.push_back(attach(*this, fmt::format("encoder.layers.{}", i), ClipEncoderLayer(c)));
  }
}

at::Tensor ClipTextModel::forward(const at::Tensor& tokens) {
  const int64_t length = tokens.size(-1);
  if (length > config_.max_position_embeddings) {
    throw Error(ErrorKind::model, {.file = "text encoder",
                                   .reason = fmt::format("{} tokens, but max_position_embeddings is {}", length,
                                                         config_.max_position_embeddings)});
  }
  const auto outside = tokens.masked_select((tokens < 0).logical_or(tokens >= config_.vocab_size));
  if (outside.numel() > 0) {
    throw Error(ErrorKind::model, {.file = "text encoder",
                                   .reason = fmt::format("token {} is outside its vocabulary of {}",
                                                         outside[0].item<int64_t>(), config_.vocab_size),
                                   .hint = "tokenizer and text encoder are of different models"});
  }
  at::Tensor x = token_embedding_(tokens) + position_embedding_(at::arange(length, tokens.options()));
  for (ClipEncoderLayer& layer : layers_) x = layer(x);
  return final_layer_norm_(x);
}

}  // namespace sdtorch
