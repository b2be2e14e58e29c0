// Linear: y = x Aᵀ + b.
#pragma once

#include <torch/nn/module.h>

#include <memory>

#include "core/placement.hpp"
#include "nn/int8.hpp"
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

  /// Before the weights are there: they become 8-bit integers, where has_int8_products(), and leave this class.
  void compute_in_int8() { in_int8_ = true; }

  /// On a CPU the weight becomes opaque (nn/cpu/packed.hpp), or comes to begin at a multiple of 64 bytes.
  void prepare(const Placement& to) override;
  void renew() override;

  at::Tensor weight, bias;

 private:
  bool in_int8_ = false;
  std::shared_ptr<const Int8Weights> int8_{};
};
using Linear = Layer<LinearImpl>;

}  // namespace sdtorch
