// A U-Net whose deep layers are not computed at every call (Ma et al. 2023, "DeepCache: Accelerating Diffusion Models
// for Free"): from one step to the next they say nearly the same.
#pragma once

#include <ATen/ATen.h>

#include <cstddef>

namespace sdtorch {

/// What stays of a whole call for the calls after it. For rows of the same pictures and conditions.
struct DeepCache {
  size_t branch =
      0;  ///< the skip connection above which all is computed anew; 0, the first convolution's, is the least
  bool reuse = false;    ///< this call stops at that branch and goes up from there by `feature`
  at::Tensor feature{};  ///< [B or P, C, h, w]: what the layer that takes the branch's skip is given from below
};

/// Whether a call needs no more than the skips that the way down has made.
inline bool is_deep_enough(const DeepCache* cache, size_t skips) {
  return cache && cache->reuse && skips > cache->branch;
}

/// On the way up, before the layer that takes skip number `skip`: keeps what the layer is given, or gives what was
/// kept.
inline void pass_branch(DeepCache* cache, size_t skip, at::Tensor& x) {
  if (!cache || skip != cache->branch) return;
  if (cache->reuse) {
    x = cache->feature;
  } else {
    cache->feature = x;
  }
}

}  // namespace sdtorch
