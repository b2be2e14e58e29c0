// What a memory pass each would cost in LibTorch: the gated feed-forward layer's activation, and a bias and a residual.
#include "nn/cuda/arithmetic.hpp"
#include "nn/cuda/elements.cuh"

namespace sdtorch::cuda {
namespace {

constexpr int threads = 256;

/// Item i is the pack of columns i mod (width / pack) in row i / (width / pack).
template <typename T, int pack>
__global__ void __launch_bounds__(threads) gate(const GeGluCall call) {
  const int64_t columns = call.width / pack, items = call.rows * columns;
  for (int64_t item = blockIdx.x * int64_t{threads} + threadIdx.x; item < items; item += gridDim.x * int64_t{threads}) {
    const int64_t row = item / columns, column = (item - row * columns) * pack;
    const T* const x = static_cast<const T*>(call.x) + row * 2 * call.width + column;
    const auto a = Pack<T, pack>::at(x), b = Pack<T, pack>::at(x + call.width);
    Pack<T, pack> y;
#pragma unroll
    for (int k = 0; k < pack; ++k) y.values[k] = from_float<T>(to_float(a.values[k]) * gelu(to_float(b.values[k])));
    y.store(static_cast<T*>(call.y) + item * pack);
  }
}

template <typename T, int pack>
__global__ void __launch_bounds__(threads) add(const AddCall call) {
  const int64_t columns = call.channels / pack, items = call.rows * columns;
  for (int64_t item = blockIdx.x * int64_t{threads} + threadIdx.x; item < items; item += gridDim.x * int64_t{threads}) {
    const auto x = Pack<T, pack>::at(static_cast<const T*>(call.x) + item * pack);
    float sum[pack];
#pragma unroll
    for (int k = 0; k < pack; ++k) sum[k] = to_float(x.values[k]);
    if (call.bias) {
      const T* const bias = static_cast<const T*>(call.bias) + item % columns * pack;
#pragma unroll
      for (int k = 0; k < pack; ++k) sum[k] += to_float(bias[k]);
    }
    if (call.residual) {
      const auto other = Pack<T, pack>::at(static_cast<const T*>(call.residual) + item * pack);
#pragma unroll
      for (int k = 0; k < pack; ++k) sum[k] += to_float(other.values[k]);
    }
    Pack<T, pack> y;
#pragma unroll
    for (int k = 0; k < pack; ++k) y.values[k] = from_float<T>(sum[k]);
    y.store(static_cast<T*>(call.y) + item * pack);
  }
}

}  // namespace

void launch_geglu(const GeGluCall& call) {
  const auto stream = static_cast<cudaStream_t>(call.stream);
  with_type(call.type, [&](auto element) {
    using T = decltype(element);
    if (call.width % widest<T> == 0 && is_aligned(call.x) && is_aligned(call.y)) {
      const int64_t items = call.rows * call.width / widest<T>;
      gate<T, widest<T>><<<blocks_for(items, threads), threads, 0, stream>>>(call);
    } else {
      gate<T, 1><<<blocks_for(call.rows * call.width, threads), threads, 0, stream>>>(call);
    }
  });
}

void launch_add(const AddCall& call) {
  const auto stream = static_cast<cudaStream_t>(call.stream);
  with_type(call.type, [&](auto element) {
    using T = decltype(element);
    const bool aligned = is_aligned(call.x) && is_aligned(call.y) && (!call.residual || is_aligned(call.residual));
    if (call.channels % widest<T> == 0 && aligned) {
      const int64_t items = call.rows * call.channels / widest<T>;
      add<T, widest<T>><<<blocks_for(items, threads), threads, 0, stream>>>(call);
    } else {
      add<T, 1><<<blocks_for(call.rows * call.channels, threads), threads, 0, stream>>>(call);
    }
  });
}

}  // namespace sdtorch::cuda
