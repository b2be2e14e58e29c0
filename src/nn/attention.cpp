#include "nn/attention.hpp"

#include <cmath>
#include <optional>

#include "core/profile.hpp"
#include "nn/cpu/attention_kernel.hpp"
#include "nn/cuda/layers.hpp"
#include "nn/recorded.hpp"

namespace sdtorch {
namespace {

/// [B, L, C] → [B, heads, L, C / heads]
at::Tensor heads_apart(const at::Tensor& x, int64_t heads) { return x.unflatten(-1, {heads, -1}).transpose(1, 2); }

/// [B, heads, L, C / heads] → [B, L, C]
at::Tensor joined(const at::Tensor& x) { return x.transpose(1, 2).flatten(-2); }

/// Scores, and values mixed by them: two products of one size for each head.
MatrixProduct attention_product(const at::Tensor& q, const at::Tensor& k, int64_t heads) {
  return {.rows = q.size(1), .inner = q.size(2) / heads, .columns = k.size(1), .times = 2 * q.size(0) * heads};
}

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionOptions& options) {
  const LayerTimer timer(LayerKind::attention, attention_product(q, k, options.heads));
  static const cpu::AttentionUnit unit = cpu::best_attention_unit();
  const bool plain = !options.causal && !options.key_mask.defined();
  const bool differentiable = recorded(q) || recorded(k) || recorded(v);
  if (unit != cpu::AttentionUnit::none && plain && !differentiable &&
      cpu::blocked_attention_takes(q, k, v, options.heads)) {
    return cpu::blocked_attention(q, k, v, options.heads, unit);
  }
  std::optional<at::Tensor> mask;
  if (options.key_mask.defined()) mask = options.key_mask.unsqueeze(1).unsqueeze(1);
  if (mask && options.causal) {
    const at::Tensor before = at::ones({q.size(1), k.size(1)}, mask->options()).tril();
    return joined(at::scaled_dot_product_attention(heads_apart(q, options.heads), heads_apart(k, options.heads),
                                                   heads_apart(v, options.heads), mask->logical_and(before)));
  }
  const at::Tensor queries = heads_apart(q, options.heads), keys = heads_apart(k, options.heads),
                   values = heads_apart(v, options.heads);
  if (cuda::takes(q)) return joined(cuda::attention(queries, keys, values, mask, options.causal));
  return joined(at::scaled_dot_product_attention(queries, keys, values, mask, /*dropout_p=*/0.0, options.causal));
}

at::Tensor attention_map(const at::Tensor& q, const at::Tensor& k, int64_t heads) {
  const at::Tensor queries = heads_apart(q, heads).to(at::kFloat), keys = heads_apart(k, heads).to(at::kFloat);
  const double scale = 1 / std::sqrt(static_cast<double>(queries.size(-1)));
  return (at::matmul(queries, keys.transpose(-1, -2)) * scale).softmax(-1);
}

at::Tensor attention_by_map(const at::Tensor& map, const at::Tensor& v) {
  return joined(at::matmul(map.to(v.scalar_type()), heads_apart(v, map.size(1))));
}

}  // namespace sdtorch
