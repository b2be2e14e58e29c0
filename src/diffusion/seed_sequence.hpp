// Many seeds from one: numpy's SeedSequence, on which torchsde's Brownian motion rests.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sdtorch {

/// Hashes a seed and the place of a stream that is split off from it into a pool of 32-bit words, from which any number
/// of words is drawn (Melissa O'Neill, "Developing a seed_seq Alternative", 2015; the numbers are those of
/// numpy.random.SeedSequence(entropy, spawn_key=place, pool_size=words)).
class SeedSequence {
 public:
  SeedSequence(uint64_t entropy, std::span<const uint64_t> place, size_t words);

  std::vector<uint32_t> generate(size_t count) const;

 private:
  std::vector<uint32_t> pool_;
};

}  // namespace sdtorch
