// The U-Net of latent diffusion (Rombach et al. 2021), with diffusers' key names.
#pragma once

#include <vector>

#include "sdtorch/networks/config.hpp"
#include "sdtorch/networks/unet_blocks.hpp"

namespace sdtorch {

class UNet2DConditionModel : public torch::nn::Module {
 public:
  explicit UNet2DConditionModel(const UNetConfig& config);

  /// sample: [B, in_channels, h, w]; timestep: fp32 [B], may be fractional; context: [B, L, cross_attention_dim]
  /// → [B, out_channels, h, w]. sample and context come in the compute type; h and w are free.
  at::Tensor forward(const at::Tensor& sample, const at::Tensor& timestep, const at::Tensor& context);

  const UNetConfig& config() const { return config_; }

 private:
  /// timestep: [B] → [B, time_embedding_dim] of the given type
  at::Tensor embed(const at::Tensor& timestep, at::ScalarType type);

  UNetConfig config_;
  Linear time_linear_1_, time_linear_2_;
  Conv2d conv_in_;
  std::vector<UNetDownBlock> down_blocks_;
  UNetMidBlock mid_block_ = nullptr;
  std::vector<UNetUpBlock> up_blocks_;  ///< from the coarsest to the finest, as they run
  GroupNorm conv_norm_out_;
  Conv2d conv_out_;
};

}  // namespace sdtorch
