// Standard normal numbers from a seed, by one generator or another.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/Generator.h>

#include <cstdint>
#include <variant>

#include "diffusion/philox.hpp"

namespace sdtorch {

/// Whose generator: torch's on the CPU (a Mersenne twister), or torch's on a CUDA device (Philox), which is computed
/// here, on the CPU too.
enum class RandomSource { cpu, cuda };

class NormalStream {
 public:
  NormalStream(RandomSource source, uint64_t seed);

  /// The next draw, fp32 on the CPU, as `torch.randn(shape, generator=…)`.
  at::Tensor draw(at::IntArrayRef shape);

 private:
  std::variant<at::Generator, PhiloxGenerator> generator_;
};

}  // namespace sdtorch
