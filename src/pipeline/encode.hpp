// Pictures → latents, as decode.hpp has them the other way.
#pragma once

#include <ATen/ATen.h>

#include <span>

#include "diffusion/noise.hpp"
#include "pipeline/components.hpp"
#include "sdtorch/image.hpp"

namespace sdtorch {

/// Samples each picture's latent from the VAE's distribution, by the picture's own generator (Kingma & Welling 2013,
/// section 2.4), and scales it for the networks: fp32 [B, 4, h, w]. All pictures have one size, a multiple of the VAE's
/// factor. Throws ErrorKind::model for a VAE without an encoder, ErrorKind::non_finite for overflow.
at::Tensor encode_pictures(const Components& model, std::span<const Image> pictures, Noise& noise);

}  // namespace sdtorch
