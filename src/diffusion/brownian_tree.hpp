// A Brownian motion that can be asked for its increment over any interval, in any order, and always answers the same.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "diffusion/normal_stream.hpp"

namespace sdtorch {

/// The virtual Brownian tree (Gaines & Lyons 1997; Li et al. 2020, "Scalable Gradients for Stochastic Differential
/// Equations", Algorithm 3), number for number that of torchsde's BrownianInterval with halfway_tree, tol 1e-6 and
/// pool_size 24, which diffusers and k-diffusion take their noise from: each interval is halved, its half's increment
/// is drawn from the Brownian bridge by a seed of the interval's own, and times count to six digits.
class BrownianTree {
 public:
  struct Options {
    uint64_t entropy = 0;          ///< the seed
    double start = 0;              ///< of the interval that can be asked for
    double end = 1;                ///< start or more
    std::vector<int64_t> shape{};  ///< of one increment
    RandomSource source = RandomSource::cpu;
  };

  explicit BrownianTree(Options options);

  /// W(to) - W(from), fp32 on the CPU. from <= to; both are moved into the interval.
  at::Tensor increment(double from, double to) const;

 private:
  Options options_;
  at::Tensor whole_;  ///< the increment from start to end
};

}  // namespace sdtorch
