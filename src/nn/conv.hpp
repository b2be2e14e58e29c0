// Convolution in two dimensions, and its transpose.
#pragma once

#include <torch/nn/module.h>

#include <memory>

#include "core/placement.hpp"
#include "nn/cpu/packed.hpp"
#include "nn/layer.hpp"
#include "nn/quantized.hpp"

namespace sdtorch {

struct Conv2dOptions {
  int64_t stride = 1;
  int64_t padding = 0;  ///< zeros on every side
  bool bias = true;
};

/// Registers `weight` [out, in, kernel, kernel] and `bias` [out], uninitialised: their values come from a checkpoint.
class Conv2dImpl : public torch::nn::Module, public Prepared {
 public:
  Conv2dImpl(int64_t in, int64_t out, int64_t kernel, Conv2dOptions options = {});

  /// x: [B, in, h, w] → [B, out, h', w'], h' = (h + 2 padding - kernel) / stride + 1
  at::Tensor forward(const at::Tensor& x) const;

  /// forward(x with each pixel doubled along both axes). x: [B, in, h, w] → [B, out, 2 h, 2 w], of a layer that
  /// keeps the size
  at::Tensor of_doubled(at::Tensor x) const;

  /// As LinearImpl's; in fp8 a convolution stays what it is.
  void quantize(Quantization quantization) { in_int8_ = quantization == Quantization::int8; }

  /// On a GPU (cuda::takes): forward(x) + residual, and forward without its bias.
  at::Tensor onto(const at::Tensor& x, const at::Tensor& residual) const;
  at::Tensor without_bias(const at::Tensor& x) const;

  /// On a CPU, and in fp16 and bf16 on a GPU, the weight comes to lie with the channels innermost, becomes opaque
  /// (nn/cpu/packed.hpp; a small one stays, and is packed beside for each size of picture), or Winograd's filters
  /// (nn/cpu/winograd.hpp).
  void prepare(const Placement& to) override;
  void renew() override;

  at::Tensor weight, bias;

 private:
  /// Whether it is a Linear of each pixel, which has one best order of weights for pictures of all sizes.
  bool is_pointwise() const;
  at::Tensor plain_weight() const;

  int64_t out_, kernel_;
  Conv2dOptions options_;
  bool filtered_ = false;  ///< the weight has become Winograd's filters
  bool in_int8_ = false;
  std::shared_ptr<const QuantizedWeights> int8_{};
  std::shared_ptr<cpu::PackedBySize> by_size_{};
};
using Conv2d = Layer<Conv2dImpl>;

/// Enlarges `factor` times by patches that do not overlap: kernel and stride are both `factor`.
/// Registers `weight` [in, out, factor, factor] and `bias` [out], uninitialised.
class ConvTranspose2dImpl : public torch::nn::Module {
 public:
  ConvTranspose2dImpl(int64_t in, int64_t out, int64_t factor);

  /// x: [B, in, h, w] → [B, out, h factor, w factor]
  at::Tensor forward(const at::Tensor& x) const;

  at::Tensor weight, bias;

 private:
  int64_t factor_;
};
using ConvTranspose2d = Layer<ConvTranspose2dImpl>;

}  // namespace sdtorch
