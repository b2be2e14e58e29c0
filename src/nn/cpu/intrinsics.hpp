// The vector instructions that our own kernels are written in. A function that uses them carries the attribute of the
// instructions that it needs, and is called only where the CPU has them: no other file is compiled for one CPU alone.
#pragma once

// GCC's own header begins registers by assigning them to themselves, and then warns of it.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#define SDTORCH_AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))
#define SDTORCH_AMX_BF16 \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16,amx-int8")))
