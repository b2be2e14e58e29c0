#include "nn/embedding.hpp"

#include <ATen/ATen.h>

namespace sdtorch {

EmbeddingImpl::EmbeddingImpl(int64_t count, int64_t width)
    : weight(register_parameter("weight", at::empty({count, width}), /*requires_grad=*/false)) {}

at::Tensor EmbeddingImpl::forward(const at::Tensor& ids, const at::Tensor& more) const {
  if (!more.defined()) return at::embedding(weight, ids);
  const int64_t count = weight.size(0);
  const at::Tensor own = at::embedding(weight, ids.clamp_max(count - 1));
  const at::Tensor others = at::embedding(more.to(weight.options()), (ids - count).clamp_min(0));
  return at::where(ids.ge(count).unsqueeze(-1), others, own);
}

}  // namespace sdtorch
