// Pictures → latents, as decode.hpp has them the other way.
#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <vector>

#include "diffusion/noise.hpp"
#include "pipeline/components.hpp"
#include "sdtorch/image.hpp"

namespace sdtorch {

/// A picture as the VAE takes it: fp32 [1, 3, H, W] in -1…1.
at::Tensor to_tensor(const Image& image);

/// Samples each picture's latent from the VAE's distribution, by the picture's own generator (Kingma & Welling 2013,
/// section 2.4), and scales it for the networks: fp32 [B, 4, h, w]. pictures: as to_tensor makes them, of one size,
/// a multiple of the VAE's factor; tiles: none for each at once. A tiny autoencoder has one latent for a picture, and
/// draws nothing from the generator. Throws ErrorKind::model for a VAE without an encoder, ErrorKind::non_finite for
/// overflow.
at::Tensor encode_pictures(const Components& model, const std::vector<at::Tensor>& pictures, Noise& noise,
                           const std::optional<TileSize>& tiles = {});

/// The likeliest latents instead, of no generator and not scaled, as InstructPix2Pix takes them: fp32 [B, 4, h, w].
at::Tensor encode_modes(const Components& model, const std::vector<at::Tensor>& pictures,
                        const std::optional<TileSize>& tiles = {});

}  // namespace sdtorch
