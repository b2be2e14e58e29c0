#include "sdtorch/nn/attention.hpp"

namespace sdtorch {

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, AttentionOptions options) {
  const auto split = [&](const at::Tensor& x) { return x.unflatten(-1, {options.heads, -1}).transpose(1, 2); };
  const at::Tensor mixed = at::scaled_dot_product_attention(split(q), split(k), split(v), /*attn_mask=*/{},
                                                            /*dropout_p=*/0.0, options.causal);
  return mixed.transpose(1, 2).flatten(-2);
}

}  // namespace sdtorch
