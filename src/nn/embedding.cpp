#include "nn/embedding.hpp"

#include <ATen/ATen.h>

namespace sdtorch {

EmbeddingImpl::EmbeddingImpl(int64_t count, int64_t width)
    : weight(register_parameter("weight", at::empty({count, width}), /*requires_grad=*/false)) {}

at::Tensor EmbeddingImpl::forward(const at::Tensor& ids) const { return at::embedding(weight, ids); }

}  // namespace sdtorch
