// Attention in blocks that stay in the caches, at the rate of the CPU's bf16 products: LibTorch's own kernel multiplies
// what lies in its blocks by fp32's (Dao et al. 2022, FlashAttention; Milakov & Gimelshein 2018 for the running
// softmax).
#pragma once

#include <ATen/ATen.h>

namespace sdtorch::cpu {

/// The instructions that its products are made of, the best last.
enum class AttentionUnit {
  none,         ///< LibTorch's kernel is the best there is
  avx512_bf16,  ///< AMD from Zen 4 on, Intel from Cooper Lake on
  amx_bf16      ///< Intel from Sapphire Rapids on
};

/// The best that this CPU and its Linux offer.
AttentionUnit best_attention_unit();

/// Whether tensors of these shapes and types are its business: bf16 on a CPU, channels dense in memory, an even number
/// of them a head that is 256 at most, and at least one key.
bool blocked_attention_takes(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t heads);

/// q: [B, L, C]; k, v: [B, S, C], as above → [B, L, C], dense. Scores are divided by the square root of C / heads.
/// Scores, softmax and sums are fp32; the softmax's weights are rounded to bf16, as the inputs are.
/// unit: not none, and one that this CPU has.
at::Tensor blocked_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t heads,
                             AttentionUnit unit);

}  // namespace sdtorch::cpu
