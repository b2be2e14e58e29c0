// The autoencoder between pictures and latents (Rombach et al. 2021), with diffusers' key names.
#pragma once

#include <optional>
#include <vector>

#include "networks/config.hpp"
#include "networks/tiles.hpp"
#include "networks/vae_blocks.hpp"

namespace sdtorch {

/// The encoder's Gaussian: mean and log-variance, both [B, latent_channels, h, w].
struct LatentDistribution {
  at::Tensor mean;
  at::Tensor logvar;  ///< clamped to -30…20
};

class VaeEncoderImpl : public torch::nn::Module {
 public:
  explicit VaeEncoderImpl(const VaeConfig& config);

  /// picture: [B, in_channels, H, W] → [B, 2 latent_channels, h, w]
  at::Tensor forward(const at::Tensor& picture) const;
  /// The same, of one picture, tile by tile (vae_tiles.hpp).
  at::Tensor in_tiles(const at::Tensor& picture, const TileSize& size) const;

 private:
  int64_t groups_;
  Conv2d conv_in_;
  std::vector<DownEncoderBlock2D> down_blocks_;
  VaeMidBlock mid_block_;
  GroupNorm conv_norm_out_;
  Conv2d conv_out_;
};
using VaeEncoder = Layer<VaeEncoderImpl>;

class VaeDecoderImpl : public torch::nn::Module {
 public:
  explicit VaeDecoderImpl(const VaeConfig& config);

  /// latent: [B, latent_channels, h, w] → [B, out_channels, H, W]
  at::Tensor forward(const at::Tensor& latent) const;
  /// The same, of one latent, tile by tile.
  at::Tensor in_tiles(const at::Tensor& latent, const TileSize& size) const;

 private:
  int64_t groups_;
  Conv2d conv_in_;
  VaeMidBlock mid_block_;
  std::vector<UpDecoderBlock2D> up_blocks_;  ///< from the coarsest to the finest, as they run
  GroupNorm conv_norm_out_;
  Conv2d conv_out_;
};
using VaeDecoder = Layer<VaeDecoderImpl>;

class AutoencoderKL : public torch::nn::Module {
 public:
  explicit AutoencoderKL(const VaeConfig& config);

  /// latent: [B, latent_channels, h, w], the scale already undone → picture [B, 3, h·factor, w·factor], about -1…1.
  /// tiles: of one picture alone, B is 1 then.
  at::Tensor decode(const at::Tensor& latent, const std::optional<TileSize>& tiles = {}) const;

  /// picture: [B, 3, H, W] in -1…1, H and W multiples of factor → the distribution of its latent, before scaling.
  /// Throws ErrorKind::model for one that came without its encoder.
  LatentDistribution encode(const at::Tensor& picture, const std::optional<TileSize>& tiles = {}) const;

  const VaeConfig& config() const { return config_; }

 private:
  VaeConfig config_;
  VaeEncoder encoder_ = nullptr;
  VaeDecoder decoder_;
  Conv2d quant_conv_ = nullptr, post_quant_conv_ = nullptr;
};

}  // namespace sdtorch
