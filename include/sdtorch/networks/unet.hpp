// The U-Net of latent diffusion (Rombach et al. 2021), with diffusers' key names.
#pragma once

#include <torch/nn/module.h>

#include "sdtorch/networks/config.hpp"

namespace sdtorch {

class UNet2DConditionModel : public torch::nn::Module {
 public:
  explicit UNet2DConditionModel(const UNetConfig& config);

  /// sample: [B, in_channels, h, w]; timestep: fp32 [B], may be fractional; context: [B, L, cross_attention_dim]
  /// → [B, out_channels, h, w]. sample and context come in the compute type.
  at::Tensor forward(const at::Tensor& sample, const at::Tensor& timestep, const at::Tensor& context);

  const UNetConfig& config() const { return config_; }

 private:
  UNetConfig config_;
};

}  // namespace sdtorch
