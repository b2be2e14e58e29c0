// The sinusoidal embedding of a timestep (Vaswani et al. 2017, section 3.5; Ho et al. 2020, appendix B).
#pragma once

#include <ATen/ATen.h>

namespace sdtorch {

struct TimestepEmbeddingOptions {
  bool flip_sin_to_cos = false;  ///< cosines first
  double freq_shift = 1;         ///< frequencies are 10000^(-i / (width/2 - shift)); less than width/2
};

/// timesteps: [B], may be fractional → fp32 [B, width]: sin and cos at width/2 frequencies, a zero last if width is
/// odd.
at::Tensor sinusoidal_embedding(const at::Tensor& timesteps, int64_t width, TimestepEmbeddingOptions options);

}  // namespace sdtorch
