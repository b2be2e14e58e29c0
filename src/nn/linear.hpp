// Linear: y = x Aᵀ + b.
#pragma once

#include <torch/nn/module.h>

#include <memory>

#include "core/placement.hpp"
#include "nn/layer.hpp"
#include "nn/quantized.hpp"

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

  /// Before the weights are there, where has_products(): they are then rounded, and leave this class.
  void quantize(Quantization quantization) { quantization_ = quantization; }

  /// On a CPU the weight becomes opaque (nn/cpu/packed.hpp), or comes to begin at a multiple of 64 bytes.
  void prepare(const Placement& to) override;
  void renew() override;

  at::Tensor weight, bias;

 private:
  Quantization quantization_ = Quantization::none;
  std::shared_ptr<const QuantizedWeights> quantized_{};
};
using Linear = Layer<LinearImpl>;

}  // namespace sdtorch
