// The noise of dpm++sde: increments of a Brownian motion over the noise level, one motion an image.
#pragma once

#include <vector>

#include "diffusion/brownian_tree.hpp"
#include "diffusion/sampler.hpp"

namespace sdtorch {

class BrownianNoise {
 public:
  /// Motions between the whole plan's smallest level above 0 and its largest, of x's shape, seeded by
  /// noise_sampler_seed of the config, or, where it has none, by each image's own seed. Of images that are drawn at
  /// once one motion is a slice of theirs.
  BrownianNoise(const SamplingPlan& plan, const Noise& noise, const at::Tensor& x);

  /// Unit noise for the way from one level down to another, fp32 scalars on the CPU: [B, …] on x's device.
  at::Tensor operator()(const at::Tensor& from, const at::Tensor& to) const;

 private:
  std::vector<BrownianTree> trees_;
  std::vector<PictureNoise> pictures_;
  at::Device device_;
};

}  // namespace sdtorch
