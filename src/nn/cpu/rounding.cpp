#include "nn/cpu/rounding.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "core/instructions.hpp"

#if defined(__x86_64__)
#include "nn/cpu/intrinsics.hpp"
#endif

namespace sdtorch::cpu {
namespace {

constexpr float most = 127;
constexpr int zero = 128;

template <typename T>
float plain_largest(const T* x, int64_t count, float found) {
  for (int64_t i = 0; i < count; ++i) found = std::max(found, std::abs(static_cast<float>(x[i])));
  return found;
}

template <typename T>
void plain_round(const T* x, int64_t count, float inverse, uint8_t* to) {
  for (int64_t i = 0; i < count; ++i) {
    const float number = std::clamp(static_cast<float>(x[i]) * inverse, -most, most);
    to[i] = static_cast<uint8_t>(static_cast<int>(std::nearbyint(number)) + zero);
  }
}

#if defined(__x86_64__)

SDTORCH_AVX512 inline __m256i load_halves(const void* x) { return _mm256_loadu_si256(static_cast<const __m256i*>(x)); }
SDTORCH_AVX512 inline __m512 load(const float* x) { return _mm512_loadu_ps(x); }
SDTORCH_AVX512 inline __m512 load(const at::Half* x) { return _mm512_cvtph_ps(load_halves(x)); }
SDTORCH_AVX512 inline __m512 load(const at::BFloat16* x) { return load_bf16(x); }

template <typename T>
SDTORCH_AVX512 float vector_largest(const T* x, int64_t count) {
  __m512 found = _mm512_setzero_ps();
  for (int64_t i = 0; i < count; i += lanes) found = _mm512_max_ps(found, _mm512_abs_ps(load(x + i)));
  return _mm512_reduce_max_ps(found);
}

template <typename T>
SDTORCH_AVX512 void vector_round(const T* x, int64_t count, float inverse, uint8_t* to) {
  const __m512 by = _mm512_set1_ps(inverse), least = _mm512_set1_ps(-most), greatest = _mm512_set1_ps(most);
  const __m512i middle = _mm512_set1_epi32(zero);
  for (int64_t i = 0; i < count; i += lanes) {
    const __m512 number = _mm512_min_ps(_mm512_max_ps(_mm512_mul_ps(load(x + i), by), least), greatest);
    const __m512i whole = _mm512_add_epi32(_mm512_cvtps_epi32(number), middle);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), _mm512_cvtepi32_epi8(whole));
  }
}

#else

constexpr int64_t lanes = 1;

template <typename T>
float vector_largest(const T*, int64_t) {
  return 0;
}

template <typename T>
void vector_round(const T*, int64_t, float, uint8_t*) {}

#endif

/// What the vectors do of so many.
int64_t in_vectors(int64_t count) { return has_avx512() ? count / lanes * lanes : 0; }

}  // namespace

template <typename T>
float largest_magnitude(const T* x, int64_t count) {
  const int64_t most_of_them = in_vectors(count);
  const float found = most_of_them > 0 ? vector_largest(x, most_of_them) : 0;
  return plain_largest(x + most_of_them, count - most_of_them, found);
}

template <typename T>
void round_to_bytes(const T* x, int64_t count, float scale, uint8_t* to) {
  const int64_t most_of_them = in_vectors(count);
  if (most_of_them > 0) vector_round(x, most_of_them, 1 / scale, to);
  plain_round(x + most_of_them, count - most_of_them, 1 / scale, to + most_of_them);
}

template float largest_magnitude(const float*, int64_t);
template float largest_magnitude(const at::BFloat16*, int64_t);
template float largest_magnitude(const at::Half*, int64_t);
template void round_to_bytes(const float*, int64_t, float, uint8_t*);
template void round_to_bytes(const at::BFloat16*, int64_t, float, uint8_t*);
template void round_to_bytes(const at::Half*, int64_t, float, uint8_t*);

}  // namespace sdtorch::cpu
