// The spatial transformer, through which the text speaks to the picture (Rombach et al. 2021, appendix E.2.1).
#pragma once

#include <vector>

#include "networks/image_attention.hpp"
#include "networks/kept_keys.hpp"
#include "networks/self_attention.hpp"
#include "nn/attention.hpp"
#include "nn/conv.hpp"
#include "nn/linear.hpp"
#include "nn/norm.hpp"

namespace sdtorch {

struct TransformerOptions {
  int64_t channels = 0;
  int64_t heads = 1;
  int64_t depth = 1;
  int64_t context_width = 0;
  int64_t groups = 32;
  bool linear_projection = false;     ///< in and out by a Linear instead of a 1×1 convolution
  bool only_cross_attention = false;  ///< the first attention looks at the context, too
};

/// What transformers see beside the picture, in one call of their network.
struct TransformerContext {
  at::Tensor text{};                    ///< [B, S, context_width]
  SelfAttentionHooks* hooks = nullptr;  ///< may be none
  ImagePrompt image{};
  KeptKeys* kept = nullptr;  ///< of the text, by this network, where no hypernetwork changes it; may be none
};

/// Attention of x to a source, itself or the context, without biases but in the output.
class CrossAttentionImpl : public torch::nn::Module {
 public:
  /// width: of x; source_width: of the source; inner: of queries, keys and values, a multiple of heads.
  CrossAttentionImpl(int64_t width, int64_t source_width, int64_t inner, int64_t heads);

  /// x: [B, L, width] → [B, L, width], the source being x itself. hooks: may be nullptr, and may name this layer.
  at::Tensor to_itself(const at::Tensor& x, SelfAttentionHooks* hooks) const;

  /// x: [B, L, width] → [B, L, width], the source being the text, and pictures beside it.
  at::Tensor to_context(const at::Tensor& x, const TransformerContext& context) const;

 private:
  KeysAndValues projected(const AttentionSources& from) const { return {to_k_(from.keys), to_v_(from.values)}; }
  at::Tensor attend(const at::Tensor& x, const AttentionSources& from, SelfAttentionHooks* hooks) const;

  int64_t heads_;
  Linear to_q_, to_k_, to_v_, to_out_;
};
using CrossAttention = Layer<CrossAttentionImpl>;

/// Self-attention, attention to the context, and a feed-forward layer gated by GELU (Shazeer 2020), each on a residual.
class BasicTransformerBlockImpl : public torch::nn::Module {
 public:
  BasicTransformerBlockImpl(const TransformerOptions& options, int64_t inner);

  /// x: [P, L, inner], P a divisor of the context's B (see shared_rows.hpp) → [B, L, inner]
  at::Tensor forward(at::Tensor x, const TransformerContext& context) const;

 private:
  at::Tensor attend_first(const at::Tensor& normed, const TransformerContext& context) const;
  at::Tensor feed_forward(const at::Tensor& x) const;

  bool only_cross_attention_;
  LayerNorm norm1_;
  CrossAttention attn1_;
  LayerNorm norm2_;
  CrossAttention attn2_;
  LayerNorm norm3_;
  Linear ff_in_, ff_out_;
};
using BasicTransformerBlock = Layer<BasicTransformerBlockImpl>;

class Transformer2DModelImpl : public torch::nn::Module {
 public:
  explicit Transformer2DModelImpl(const TransformerOptions& options);

  /// x: [P, channels, h, w], P a divisor of the context's B → [B, channels, h, w]
  at::Tensor forward(const at::Tensor& x, const TransformerContext& context) const;

 private:
  GroupNorm norm_;
  Linear linear_in_ = nullptr, linear_out_ = nullptr;
  Conv2d conv_in_ = nullptr, conv_out_ = nullptr;
  std::vector<BasicTransformerBlock> blocks_;
};
using Transformer2DModel = Layer<Transformer2DModelImpl>;

}  // namespace sdtorch
