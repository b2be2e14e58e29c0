// Elements of the three types in registers: up to 16 bytes at once, computed with as fp32.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "nn/cuda/kernels.hpp"

namespace sdtorch::cuda {

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(__half x) { return __half2float(x); }
__device__ __forceinline__ float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

template <typename T>
__device__ __forceinline__ T from_float(float x);
template <>
__device__ __forceinline__ float from_float<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ __half from_float<__half>(float x) {
  return __float2half_rn(x);
}
template <>
__device__ __forceinline__ __nv_bfloat16 from_float<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}

/// `count` neighbours, read and written by one instruction.
template <typename T, int count>
struct alignas(sizeof(T) * count) Pack {
  T values[count];

  static __device__ __forceinline__ Pack at(const T* place) { return *reinterpret_cast<const Pack*>(place); }
  __device__ __forceinline__ void store(T* place) const { *reinterpret_cast<Pack*>(place) = *this; }
};

/// How many elements 16 bytes hold.
template <typename T>
constexpr int widest = 16 / sizeof(T);

inline bool is_aligned(const void* place) { return reinterpret_cast<std::uintptr_t>(place) % 16 == 0; }

/// Calls use(T()) with the element's type.
template <typename Use>
void with_type(Element type, Use use) {
  if (type == Element::fp16) {
    use(__half());
  } else if (type == Element::bf16) {
    use(__nv_bfloat16());
  } else {
    use(float());
  }
}

/// The blocks of `threads` that it takes to deal with so many items, of which a thread takes several in turn where
/// they are more than a grid should have.
inline unsigned blocks_for(int64_t items, int threads) {
  constexpr int64_t most = 1 << 20;
  const int64_t blocks = (items + threads - 1) / threads;
  return static_cast<unsigned>(blocks < most ? blocks : most);
}

}  // namespace sdtorch::cuda
