// The autoencoder between pictures and latents (Rombach et al. 2021), with diffusers' key names.
#pragma once

#include <torch/nn/module.h>

#include "sdtorch/networks/config.hpp"

namespace sdtorch {

/// The encoder's Gaussian: mean and log-variance, both [B, latent_channels, h, w].
struct LatentDistribution {
  at::Tensor mean;
  at::Tensor logvar;  ///< clamped to -30…20
};

class AutoencoderKL : public torch::nn::Module {
 public:
  explicit AutoencoderKL(const VaeConfig& config);

  /// latent: [B, latent_channels, h, w], the scale already undone → picture [B, 3, h·factor, w·factor], about -1…1.
  at::Tensor decode(const at::Tensor& latent);

  /// picture: [B, 3, H, W] in -1…1 → the distribution of its latent, before scaling.
  LatentDistribution encode(const at::Tensor& picture);

  const VaeConfig& config() const { return config_; }

 private:
  VaeConfig config_;
};

}  // namespace sdtorch
