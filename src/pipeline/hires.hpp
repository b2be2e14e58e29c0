// The second, larger pass of A1111's hires fix.
#pragma once

#include <ATen/ATen.h>

#include <span>
#include <vector>

#include "diffusion/noise.hpp"
#include "pipeline/beginning.hpp"
#include "pipeline/components.hpp"
#include "pipeline/resolve.hpp"
#include "sdtorch/pipeline.hpp"

namespace sdtorch {

/// A batch's one pass or two, and what the observer hears of each: steps are counted through both, the first of two
/// shows its tensors as first.NAME, and stages are those of the first.
class Passes {
 public:
  Passes(std::span<const ResolvedRequest> batch, const Observer& observer);

  bool has_second() const { return !second_.empty(); }
  std::span<const ResolvedRequest> second() const { return second_; }
  const Observer& first_observer() const { return first_observer_; }
  const Observer& second_observer() const { return second_observer_; }

  /// The first pass's latent, enlarged, and noised by generators newly seeded, as A1111 does it: `latent` and
  /// `latent-bicubic` interpolate it; `lanczos` enlarges the 8-bit picture that it decodes to, cut off and not rounded,
  /// and samples the larger one's latent by generators that are newly seeded, too.
  /// latent: fp32 [B, 4, h, w]; noise: drawn from here alone.
  Beginning begin_second(const Components& model, const at::Tensor& latent, Noise& noise) const;

 private:
  std::vector<ResolvedRequest> second_{};
  Observer first_observer_{}, second_observer_{};
};

}  // namespace sdtorch
