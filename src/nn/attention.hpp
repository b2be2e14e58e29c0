// Scaled dot-product attention over several heads (Vaswani et al. 2017, eq. 1 and section 3.2.2).
#pragma once

#include <ATen/ATen.h>

namespace sdtorch {

struct AttentionOptions {
  int64_t heads = 1;      ///< divides the width
  bool causal = false;    ///< position i sees positions 0…i only
  at::Tensor key_mask{};  ///< bool [B, S], true where a key is seen; undefined: all are
};

/// q: [B, L, C]; k, v: [B, S, C] → [B, L, C]. Scores are divided by the square root of C / heads.
/// Scores and softmax are fp32 whatever the inputs' type: every kernel behind it sees to that, so configs that ask
/// for `upcast_attention` have nothing to change here.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionOptions& options);

/// The same in two halves, for who wants to see the map. q: [B, L, C]; k: [B, S, C] → fp32 [B, heads, L, S],
/// whose rows sum to 1.
at::Tensor attention_map(const at::Tensor& q, const at::Tensor& k, int64_t heads);

/// map: [B, heads, L, S]; v: [B, S, C] → [B, L, C]
at::Tensor attention_by_map(const at::Tensor& map, const at::Tensor& v);

}  // namespace sdtorch
