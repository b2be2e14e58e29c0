#include "networks/transformer_block.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "networks/shared_rows.hpp"
#include "nn/attach.hpp"
#include "nn/fused.hpp"

namespace sdtorch {
namespace {

constexpr double layer_norm_eps = 1e-5;       // fixed in the reference, whatever the config's norm_eps
constexpr double group_norm_eps = 1e-6;       // likewise
constexpr int64_t feed_forward_widening = 4;  // likewise (Vaswani et al. 2017, section 3.3)

/// What keys and values are made from.
AttentionSources sources(const at::Tensor& source, const SelfAttentionHooks* hooks) {
  if (hooks && hooks->hypernetworks) return apply_hypernetworks(*hooks->hypernetworks, source);
  return {.keys = source, .values = source};
}

}  // namespace

CrossAttentionImpl::CrossAttentionImpl(int64_t width, int64_t source_width, int64_t inner, int64_t heads)
    : heads_(heads),
      to_q_(attach(*this, "to_q", Linear(width, inner, LinearOptions{.bias = false}))),
      to_k_(attach(*this, "to_k", Linear(source_width, inner, LinearOptions{.bias = false}))),
      to_v_(attach(*this, "to_v", Linear(source_width, inner, LinearOptions{.bias = false}))),
      to_out_(attach(*this, "to_out.0", Linear(inner, width))) {}

at::Tensor CrossAttentionImpl::attend(const at::Tensor& x, const AttentionSources& from,
                                      SelfAttentionHooks* hooks) const {
  const at::Tensor q = to_q_(x);
  const auto [k, v] = projected(from);
  if (!hooks || hooks->observed != this) return attention(q, k, v, {.heads = heads_});
  hooks->map = attention_map(q, k, heads_);
  return attention_by_map(hooks->map, v);
}

at::Tensor CrossAttentionImpl::to_itself(const at::Tensor& x, SelfAttentionHooks* hooks) const {
  const AttentionSources from = sources(x, hooks);
  if (!hooks || !hooks->perturbed.contains(this)) return to_out_(attend(x, from, hooks));
  const int64_t rows = x.size(0), attending = std::min(hooks->first_perturbed, rows);
  std::vector<at::Tensor> mixed;
  if (attending > 0) {
    const AttentionSources first{.keys = from.keys.narrow(0, 0, attending),
                                 .values = from.values.narrow(0, 0, attending)};
    mixed.push_back(attend(x.narrow(0, 0, attending), first, hooks));
  }
  if (attending < rows) mixed.push_back(to_v_(from.values.narrow(0, attending, rows - attending)));
  return to_out_(at::cat(mixed));
}

at::Tensor CrossAttentionImpl::to_context(const at::Tensor& x, const TransformerContext& context) const {
  const auto make = [&] { return projected(sources(context.text, context.hooks)); };
  const bool changed = context.hooks && context.hooks->hypernetworks;
  const at::Tensor q = to_q_(x);
  const auto [k, v] = context.kept && !changed ? context.kept->of(this, make) : make();
  const at::Tensor attended = attention(q, k, v, {.heads = heads_});
  const ImagePrompt& image = context.image;
  return to_out_(image.attention ? image.attention->add(this, q, heads_, image.tokens, attended) : attended);
}

BasicTransformerBlockImpl::BasicTransformerBlockImpl(const TransformerOptions& o, int64_t inner)
    : only_cross_attention_(o.only_cross_attention),
      norm1_(attach(*this, "norm1", LayerNorm(inner, layer_norm_eps))),
      attn1_(attach(*this, "attn1",
                    CrossAttention(inner, o.only_cross_attention ? o.context_width : inner, inner, o.heads))),
      norm2_(attach(*this, "norm2", LayerNorm(inner, layer_norm_eps))),
      attn2_(attach(*this, "attn2", CrossAttention(inner, o.context_width, inner, o.heads))),
      norm3_(attach(*this, "norm3", LayerNorm(inner, layer_norm_eps))),
      ff_in_(attach(*this, "ff.net.0.proj", Linear(inner, 2 * feed_forward_widening * inner))),
      ff_out_(attach(*this, "ff.net.2", Linear(feed_forward_widening * inner, inner))) {}

at::Tensor BasicTransformerBlockImpl::forward(at::Tensor x, const TransformerContext& context) const {
  SelfAttentionHooks* const hooks = context.hooks;
  const int64_t rows = context.text.size(0);
  if (only_cross_attention_) x = for_rows(x, rows);
  const auto merged = hooks && hooks->merging ? hooks->merging->match(x) : std::nullopt;
  if (merged) {
    x = merged->part(attend_first(merged->merge(norm1_(x)), context)) + x;
  } else {
    x = attend_first(norm1_(x), context) + x;
  }
  x = for_rows(x, rows);
  const auto attend_second = [&] { return attn2_->to_context(norm2_(x), context); };
  x = (hooks && hooks->gate ? hooks->gate->pass(attn2_.get(), attend_second) : attend_second()) + x;
  return feed_forward(norm3_(x)) + x;
}

at::Tensor BasicTransformerBlockImpl::attend_first(const at::Tensor& normed, const TransformerContext& context) const {
  if (!only_cross_attention_) return attn1_->to_itself(normed, context.hooks);
  const auto attend = [&] { return attn1_->to_context(normed, context); };
  return context.hooks && context.hooks->gate ? context.hooks->gate->pass(attn1_.get(), attend) : attend();
}

at::Tensor BasicTransformerBlockImpl::feed_forward(const at::Tensor& x) const { return ff_out_(gated_gelu(ff_in_(x))); }

Transformer2DModelImpl::Transformer2DModelImpl(const TransformerOptions& o)
    : norm_(attach(*this, "norm", GroupNorm(o.groups, o.channels, group_norm_eps))) {
  const int64_t inner = o.channels / o.heads * o.heads;  // narrower where the heads do not divide the channels
  if (o.linear_projection) {
    linear_in_ = attach(*this, "proj_in", Linear(o.channels, inner));
    linear_out_ = attach(*this, "proj_out", Linear(inner, o.channels));
  } else {
    conv_in_ = attach(*this, "proj_in", Conv2d(o.channels, inner, 1));
    conv_out_ = attach(*this, "proj_out", Conv2d(inner, o.channels, 1));
  }
  for (int64_t i = 0; i < o.depth; ++i) {
    blocks_.push_back(attach(*this, fmt::format("transformer_blocks.{}", i), BasicTransformerBlock(o, inner)));
  }
}

at::Tensor Transformer2DModelImpl::forward(const at::Tensor& x, const TransformerContext& context) const {
  const auto to_sequence = [](const at::Tensor& t) { return t.permute({0, 2, 3, 1}).flatten(1, 2); };
  const auto to_picture = [&](const at::Tensor& t) {
    return t.unflatten(1, {x.size(2), x.size(3)}).permute({0, 3, 1, 2});
  };
  at::Tensor h = norm_(x);
  h = linear_in_ ? linear_in_(to_sequence(h)) : to_sequence(conv_in_(h));
  for (const BasicTransformerBlock& block : blocks_) h = block(h, context);
  const at::Tensor residual = for_rows(x, h.size(0));
  return linear_out_ ? to_picture(linear_out_(h)) + residual : conv_onto(conv_out_, to_picture(h), residual);
}

}  // namespace sdtorch
