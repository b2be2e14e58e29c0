// A table of vectors, looked up by number.
#pragma once

#include <torch/nn/module.h>

#include "nn/layer.hpp"

namespace sdtorch {

/// Registers `weight` [count, width], uninitialised: its values come from a checkpoint.
class EmbeddingImpl : public torch::nn::Module {
 public:
  EmbeddingImpl(int64_t count, int64_t width);

  /// ids: int64, any shape, 0…count-1 (the caller's promise) → […, width]
  at::Tensor forward(const at::Tensor& ids) const;

  at::Tensor weight;
};
using Embedding = Layer<EmbeddingImpl>;

}  // namespace sdtorch
