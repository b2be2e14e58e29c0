#include "diffusion/philox.hpp"

#include <cmath>
#include <numbers>

namespace sdtorch {
namespace {

constexpr int rounds = 10;
constexpr uint64_t first_factor = 0xD2511F53, second_factor = 0xCD9E8D57;
constexpr uint32_t first_weyl = 0x9E3779B9, second_weyl = 0xBB67AE85;  // what the key grows by from round to round

uint32_t low(uint64_t bits) { return static_cast<uint32_t>(bits); }
uint32_t high(uint64_t bits) { return static_cast<uint32_t>(bits >> 32); }

/// Uniform in the open interval 0…1: the middle of one of its 2^32 parts.
double uniform(uint32_t word) { return (static_cast<double>(word) + 0.5) * 0x1p-32; }

/// The first number of Box and Muller's pair, which CUDA's library makes with the sine.
double normal(uint32_t radius, uint32_t angle) {
  return std::sqrt(-2 * std::log(uniform(radius))) * std::sin(2 * std::numbers::pi * uniform(angle));
}

}  // namespace

PhiloxBlock philox(PhiloxBlock counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < rounds; ++round) {
    const uint64_t first = first_factor * counter[0], second = second_factor * counter[2];
    counter = {high(second) ^ counter[1] ^ key[0], low(second), high(first) ^ counter[3] ^ key[1], low(first)};
    key = {key[0] + first_weyl, key[1] + second_weyl};
  }
  return counter;
}

at::Tensor PhiloxGenerator::randn(at::IntArrayRef shape) {
  at::Tensor drawn = at::empty(shape, at::kFloat);
  auto* values = drawn.mutable_data_ptr<float>();
  const std::array<uint32_t, 2> key{low(seed_), high(seed_)};
  for (int64_t i = 0; i < drawn.numel(); ++i) {
    const auto thread = static_cast<uint64_t>(i);
    const PhiloxBlock words = philox({low(draws_), high(draws_), low(thread), high(thread)}, key);
    values[i] = static_cast<float>(normal(words[0], words[1]));
  }
  ++draws_;
  return drawn;
}

}  // namespace sdtorch
