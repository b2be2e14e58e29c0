// Latent → picture.
#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <vector>

#include "io/image.hpp"
#include "pipeline/components.hpp"

namespace sdtorch {

/// What a picture's notes say of one whose VAE overflowed.
inline constexpr const char* fp32_note = "VAE again in fp32";

/// A decoded batch, and what had to be done to get it.
struct DecodedPictures {
  at::Tensor pictures{};              ///< fp32 on the CPU, [B, 3, H, W] in 0…1
  std::vector<bool> again_in_fp32{};  ///< one a picture: the compute type overflowed and the VAE ran again in fp32
  std::vector<bool> in_tiles{};       ///< one a picture: memory was short for it as it was asked for
};

/// latent: fp32 [B, 4, h, w], still times the VAE's scale; tiles: none for the whole at once. Decodes image by image,
/// so that memory does not grow with the batch; where it is short all the same, in (smaller) tiles. A picture that
/// comes out non-finite is decoded again with an fp32 VAE, with a warning; one that is non-finite even then throws
/// ErrorKind::non_finite.
DecodedPictures decode(const Components& model, const at::Tensor& latent, const std::optional<TileSize>& tiles = {});

/// picture: fp32 [3, H, W] in 0…1 → 8 bits a channel, rounded to nearest, or down as some tools do.
Image to_image(const at::Tensor& picture, bool truncate = false);

}  // namespace sdtorch
