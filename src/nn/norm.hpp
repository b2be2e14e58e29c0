// Normalisation over groups of channels (Wu & He 2018) and over the last axis (Ba et al. 2016).
#pragma once

#include <torch/nn/module.h>

#include <optional>

#include "nn/layer.hpp"

#include "nn/activation.hpp"

namespace sdtorch {

/// Registers `weight` and `bias` [channels], uninitialised: their values come from a checkpoint.
class GroupNormImpl : public torch::nn::Module {
 public:
  /// groups divides channels; eps is added to the variance.
  GroupNormImpl(int64_t groups, int64_t channels, double eps);

  /// x: [B, channels, …] → the same shape, activated if asked for. shift: [B, channels], added to x before, or
  /// undefined.
  at::Tensor forward(const at::Tensor& x, std::optional<Activation> activation = std::nullopt,
                     const at::Tensor& shift = {}) const;

  /// On a GPU (cuda::takes): forward(x + channel_bias + shift). channel_bias: [channels]; shift: [B, channels]; either
  /// may be undefined.
  at::Tensor after_bias(const at::Tensor& x, const at::Tensor& channel_bias, const at::Tensor& shift,
                        std::optional<Activation> activation) const;

  /// In fp32 on a CPU, too, the channels of a picture stay innermost, where else it is brought into the reference's
  /// order and back. Its sums then round otherwise than the reference's, which a network that is called step after step
  /// would enlarge.
  void keep_layout_in_fp32() { keeps_layout_ = true; }

  at::Tensor weight, bias;

 private:
  int64_t groups_;
  double eps_;
  bool keeps_layout_ = false;
};
using GroupNorm = Layer<GroupNormImpl>;

/// Registers `weight` and `bias` [width], uninitialised: their values come from a checkpoint.
class LayerNormImpl : public torch::nn::Module {
 public:
  LayerNormImpl(int64_t width, double eps);

  /// x: […, width] → the same shape.
  at::Tensor forward(const at::Tensor& x) const;

  at::Tensor weight, bias;

 private:
  double eps_;
};
using LayerNorm = Layer<LayerNormImpl>;

}  // namespace sdtorch
