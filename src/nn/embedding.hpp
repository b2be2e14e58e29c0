// A table of vectors, looked up by number.
#pragma once

#include <torch/nn/module.h>

#include "nn/layer.hpp"

namespace sdtorch {

/// Registers `weight` [count, width], uninitialised: its values come from a checkpoint.
class EmbeddingImpl : public torch::nn::Module {
 public:
  EmbeddingImpl(int64_t count, int64_t width);

  /// ids: int64, any shape, 0…count-1 (the caller's promise), or up to count+n-1 with `more`, n further vectors
  /// [n, width] of any device and type → […, width]
  at::Tensor forward(const at::Tensor& ids, const at::Tensor& more = {}) const;

  at::Tensor weight;
};
using Embedding = Layer<EmbeddingImpl>;

}  // namespace sdtorch
