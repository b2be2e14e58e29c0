// The U-Net of latent diffusion (Rombach et al. 2021), with diffusers' key names.
#pragma once

#include <vector>

#include "networks/config.hpp"
#include "networks/unet_blocks.hpp"

namespace sdtorch {

/// What some families' U-Nets see besides the text; undefined where the config does not ask for it.
struct UNetExtras {
  at::Tensor pooled{};    ///< SDXL's pooled text, [B, P]
  at::Tensor time_ids{};  ///< SDXL's sizes in pixels, and a refiner's score, fp32 [B, n]
  at::Tensor guidance{};  ///< the guidance scale's embedding, fp32 [B, time_cond_proj_dim]
};

class UNet2DConditionModel : public torch::nn::Module {
 public:
  explicit UNet2DConditionModel(const UNetConfig& config);

  /// sample: [B, in_channels, h, w]; timestep: fp32 [B], may be fractional; context: [B, L, cross_attention_dim]
  /// → [B, out_channels, h, w]. sample and context come in the compute type; h and w are free.
  at::Tensor forward(const at::Tensor& sample, const at::Tensor& timestep, const at::Tensor& context,
                     const UNetExtras& extras = {});

  const UNetConfig& config() const { return config_; }

 private:
  /// timestep: [B] → [B, time_embedding_dim] of the given type
  at::Tensor embed(const at::Tensor& timestep, const UNetExtras& extras, at::ScalarType type);
  /// numbers: fp32 [N] → fp32 [N, width]
  at::Tensor waves(const at::Tensor& numbers, int64_t width) const;

  UNetConfig config_;
  Linear time_linear_1_, time_linear_2_;
  Linear guidance_proj_ = nullptr;
  Linear added_linear_1_ = nullptr, added_linear_2_ = nullptr;
  Conv2d conv_in_;
  std::vector<UNetDownBlock> down_blocks_;
  UNetMidBlock mid_block_ = nullptr;
  std::vector<UNetUpBlock> up_blocks_;  ///< from the coarsest to the finest, as they run
  GroupNorm conv_norm_out_;
  Conv2d conv_out_;
};

}  // namespace sdtorch
