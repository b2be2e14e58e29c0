// A latent's colours without its VAE: at once, and as coarse as the latent is.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "sdtorch/image.hpp"
#include "sdtorch/pipeline.hpp"

namespace sdtorch {

/// An affine map from a latent's C channels to red, green and blue, 3·(C + 1) numbers, which holds for one VAE.
class LatentColors {
 public:
  /// The map that comes nearest, by least squares, to what the pipeline's own VAE makes of a small latent of random
  /// patches, whose pixels are averaged over each of the latent's cells. Draws from no generator but its own, and
  /// always the same numbers. channels: C. Throws as Pipeline::decode.
  static LatentColors fit(const Pipeline& pipeline, int64_t channels);

  /// latent: [C, h, w], scaled as the U-Net has it → a picture of w times h pixels.
  Image picture(const at::Tensor& latent) const;

  /// Pixels on a side of a cell.
  int64_t factor() const { return factor_; }

 private:
  at::Tensor map_{};  // double [C + 1, 3]: levels of 0…1 a unit of each channel, and of none
  int64_t factor_ = 1;
};

}  // namespace sdtorch
