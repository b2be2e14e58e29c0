// Linear: y = x Aᵀ + b.
#pragma once

#include <torch/nn/module.h>

#include "core/placement.hpp"
#include "nn/layer.hpp"

namespace sdtorch {

struct LinearOptions {
  bool bias = true;
};

/// Registers `weight` [out, in] and `bias` [out], uninitialised: their values come from a checkpoint.
class LinearImpl : public torch::nn::Module, public Prepared {
 public:
  LinearImpl(int64_t in, int64_t out, LinearOptions options = {});

  /// x: […, in] → […, out]
  at::Tensor forward(const at::Tensor& x) const;

  /// On a CPU the weight becomes opaque (nn/cpu/packed.hpp), or comes to begin at a multiple of 64 bytes.
  void prepare(const Placement& to) override;

  at::Tensor weight, bias;
};
using Linear = Layer<LinearImpl>;

}  // namespace sdtorch
