// The counter-based generator of CUDA's libraries, and torch's normal numbers made of it.
#pragma once

#include <ATen/ATen.h>

#include <array>
#include <cstdint>

namespace sdtorch {

/// Philox 4x32 with ten rounds (Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3", section 3.3): 128
/// random bits for each counter, by a key of 64.
using PhiloxBlock = std::array<uint32_t, 4>;
PhiloxBlock philox(PhiloxBlock counter, std::array<uint32_t, 2> key);

/// Standard normal numbers as `torch.randn` draws them on a CUDA device: element i is made by thread i, whose counter
/// is (draw, i), by the first of the two numbers that Box and Muller's transformation makes of two words. So it is for
/// as many elements as the device runs threads at once (43,008 on the smallest cards in use, over 200,000 on the
/// largest); of more, each thread makes several, and which of them depends on the card. Computed in float64: the
/// device's own differ by less than 2e-5, since its sine and logarithm are approximate.
class PhiloxGenerator {
 public:
  /// seed: any value, as `torch.Generator("cuda").manual_seed` takes it.
  explicit PhiloxGenerator(uint64_t seed) : seed_(seed) {}

  /// fp32 on the CPU. Each call is the generator's next draw, whatever its shape.
  at::Tensor randn(at::IntArrayRef shape);

 private:
  uint64_t seed_;
  uint64_t draws_ = 0;
};

}  // namespace sdtorch
