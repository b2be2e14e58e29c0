// Gaussian noise, drawn explicitly: torch's CPU generator, fp32, one generator an image.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/Generator.h>

#include <cstdint>
#include <vector>

namespace sdtorch {

/// One generator for each image of a batch, so that image k of a batch equals the same image alone.
class Noise {
 public:
  /// seeds: one an image, any 64-bit value (0 is a seed).
  explicit Noise(const std::vector<uint64_t>& seeds);

  /// Standard normal fp32 on the CPU, [B, …shape]; shape is one image's, without the batch axis.
  /// Each image's generator advances as in `torch.randn((1, …shape), generator=…)`.
  at::Tensor draw(at::IntArrayRef shape);

  /// As they were given.
  const std::vector<uint64_t>& seeds() const { return seeds_; }

 private:
  std::vector<uint64_t> seeds_;
  std::vector<at::Generator> generators_;
};

}  // namespace sdtorch
