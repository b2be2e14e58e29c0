// What a model's latents become pictures by, and pictures latents: its VAE, another one, or a tiny one.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <optional>

#include "networks/vae.hpp"
#include "networks/vae_tiny.hpp"
#include "pipeline/model_description.hpp"

namespace sdtorch {

/// One network and the number that its latents are scaled by. A config's `shift_factor` is not applied: diffusers' SD
/// and SDXL pipelines do not read it, whatever it says.
class Autoencoder {
 public:
  Autoencoder(std::shared_ptr<AutoencoderKL> network, at::ScalarType dtype);
  Autoencoder(std::shared_ptr<AutoencoderTiny> network, const TinyVaeConfig& config, at::ScalarType dtype);

  /// What it computes in.
  at::ScalarType dtype() const { return dtype_; }
  bool encodes() const { return encodes_; }

  /// latent: fp32 [1, C, h, w], scaled as the U-Net has it → fp32 [1, 3, H, W], about -1…1.
  at::Tensor decode(const at::Tensor& latent, const std::optional<TileSize>& tiles = {}) const;

  /// picture: fp32 [1, 3, H, W] in -1…1 → fp32, not scaled; of a tiny one the mean alone: it has no distribution.
  LatentDistribution encode(const at::Tensor& picture, const std::optional<TileSize>& tiles = {}) const;

  /// A latent as the U-Net has it.
  at::Tensor scaled(const at::Tensor& latent) const { return latent * scale_; }

 private:
  std::shared_ptr<AutoencoderKL> network_{};
  std::shared_ptr<AutoencoderTiny> tiny_{};
  double scale_ = 1;
  bool encodes_ = false;
  at::ScalarType dtype_ = at::kFloat;
};

// Each is loaded to compute in dtype, or in fp32 where that is fp16 and the VAE overflows it.
// Throws ErrorKind::model with every missing, unexpected and misshapen key.

/// What decodes: the tiny one where there is one, else the VAE that the choice names, else the model's own.
std::shared_ptr<const Autoencoder> load_decoder(const ModelDescription& model, at::ScalarType dtype, at::Device device);

/// What encodes: the first of these that has an encoder.
std::shared_ptr<const Autoencoder> load_encoder(const ModelDescription& model, at::ScalarType dtype, at::Device device);

}  // namespace sdtorch
