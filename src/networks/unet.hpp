// The U-Net of latent diffusion (Rombach et al. 2021), with diffusers' key names.
#pragma once

#include <vector>

#include "networks/unet_down.hpp"

namespace sdtorch {

/// How many skip connections there are, one from each layer of the way down to one of the way up.
size_t skip_count(const UNetConfig& config);

class UNet2DConditionModel : public torch::nn::Module {
 public:
  explicit UNet2DConditionModel(const UNetConfig& config);

  /// → [B, out_channels, h, w] in the sample's type. Throws ErrorKind::bug for another number of residuals than skips.
  at::Tensor forward(const UNetInput& input) const;

  const UNetConfig& config() const { return config_; }

 private:
  UNetConfig config_;
  UNetDown down_;
  std::vector<UNetUpBlock> up_blocks_;  ///< from the coarsest to the finest, as they run
  GroupNorm conv_norm_out_;
  Conv2d conv_out_;
};

}  // namespace sdtorch
