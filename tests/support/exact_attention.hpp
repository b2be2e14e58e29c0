// Attention in float64, which kernels are held against.
#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <cstdint>

namespace sdtorch {

/// q [B, L, heads · size], k and v [B, S, heads · size] → [B, L, heads · size], all of them float64.
inline at::Tensor exact_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t heads) {
  const auto apart = [&](const at::Tensor& x) { return x.to(at::kDouble).unflatten(-1, {heads, -1}).transpose(1, 2); };
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(2) / heads));
  const at::Tensor map = (at::matmul(apart(q), apart(k).transpose(-1, -2)) * scale).softmax(-1);
  return at::matmul(map, apart(v)).transpose(1, 2).flatten(-2);
}

}  // namespace sdtorch
