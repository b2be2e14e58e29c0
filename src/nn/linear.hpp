// Linear: y = x Aᵀ + b.
#pragma once

#include <torch/nn/module.h>

#include "nn/layer.hpp"

namespace sdtorch {

struct LinearOptions {
  bool bias = true;
};

/// Registers `weight` [out, in] and `bias` [out], uninitialised: their values come from a checkpoint.
class LinearImpl : public torch::nn::Module {
 public:
  LinearImpl(int64_t in, int64_t out, LinearOptions options = {});

  /// x: […, in] → […, out]
  at::Tensor forward(const at::Tensor& x) const;

  at::Tensor weight, bias;
};
using Linear = Layer<LinearImpl>;

}  // namespace sdtorch
