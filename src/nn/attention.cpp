#include "nn/attention.hpp"

#include <optional>

namespace sdtorch {

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionOptions& options) {
  const auto split = [&](const at::Tensor& x) { return x.unflatten(-1, {options.heads, -1}).transpose(1, 2); };
  std::optional<at::Tensor> mask;
  if (options.key_mask.defined()) mask = options.key_mask.unsqueeze(1).unsqueeze(1);
  const at::Tensor mixed =
      at::scaled_dot_product_attention(split(q), split(k), split(v), mask, /*dropout_p=*/0.0, options.causal);
  return mixed.transpose(1, 2).flatten(-2);
}

}  // namespace sdtorch
