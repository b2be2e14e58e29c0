// Functions of one number that compilers turn into functions of a vector of them: no branch, no call, no table.
#pragma once

#include <bit>
#include <cstdint>

#include "nn/cpu/versions.hpp"

namespace sdtorch::cpu {

/// bf16 as it lies in memory.
struct Bf16 {
  uint16_t bits;
};

SDTORCH_INLINE float to_float(float x) { return x; }
SDTORCH_INLINE float to_float(Bf16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16); }

SDTORCH_INLINE void store(float& to, float x) { to = x; }

/// Rounds to the nearest, to the even one where two are as near. NaN stays one.
SDTORCH_INLINE void store(Bf16& to, float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  const uint32_t rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  to.bits = static_cast<uint16_t>(x != x ? 0x7fc0U : rounded);
}

/// e^x, to 2e-7 of itself where that is a normal number; below e^-87 it stays at that, above e^88 at that.
SDTORCH_INLINE float exponential(float x) {
  constexpr float log2_e = 1.44269504F, ln2_high = 0.693359375F, ln2_low = -2.12194440e-4F;
  constexpr float to_integer = 12582912.0F;  // 1.5 * 2^23: what is added to it loses its fraction
  x = x < -87.0F ? -87.0F : x;
  x = x > 88.0F ? 88.0F : x;
  const float shifted = x * log2_e + to_integer, n = shifted - to_integer;
  const float r = (x - n * ln2_high) - n * ln2_low;  // |r| ≤ ln(2) / 2
  float y = 1.0F / 720;                              // Taylor's series, whose rest is r^7 / 5040
  y = y * r + 1.0F / 120;
  y = y * r + 1.0F / 24;
  y = y * r + 1.0F / 6;
  y = y * r + 0.5F;
  y = y * r + 1.0F;
  y = y * r + 1.0F;
  const auto power = std::bit_cast<uint32_t>(shifted) << 23;  // n, from where shifted's last bits hold it
  return std::bit_cast<float>(std::bit_cast<uint32_t>(y) + power);
}

/// x sigmoid(x)
SDTORCH_INLINE float silu(float x) { return x / (1.0F + exponential(-x)); }

/// x Phi(x), to 5e-7 absolutely: Phi by Hastings' approximation of erf (Abramowitz & Stegun, 7.1.26).
SDTORCH_INLINE float gelu(float x) {
  const float u = (x < 0 ? -x : x) * 0.70710678F;
  const float t = 1.0F / (1.0F + 0.3275911F * u);
  float y = 1.061405429F;
  y = y * t - 1.453152027F;
  y = y * t + 1.421413741F;
  y = y * t - 0.284496736F;
  y = y * t + 0.254829592F;
  const float tail = 0.5F * y * t * exponential(-u * u);  // Phi(-|x|)
  return x < 0 ? x * tail : x - x * tail;
}

}  // namespace sdtorch::cpu
