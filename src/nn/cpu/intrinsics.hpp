// The vector instructions that our own kernels are written in. A function that uses them carries the attribute of the
// instructions that it needs, and is called only where the CPU has them: no other file is compiled for one CPU alone.
#pragma once

// GCC's own header begins registers by assigning them to themselves, and then warns of it.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#include <cstdint>

#define SDTORCH_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#define SDTORCH_AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))
#define SDTORCH_AMX_BF16 \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16,amx-int8")))

namespace sdtorch::cpu {

inline constexpr int64_t lanes = 16;  ///< fp32 in a register

/// So many bf16 from memory, as fp32.
SDTORCH_AVX512 inline __m512 load_bf16(const void* x) {
  const __m256i halves = _mm256_loadu_si256(static_cast<const __m256i*>(x));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

}  // namespace sdtorch::cpu
