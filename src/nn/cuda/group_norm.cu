// Group normalisation with the channels innermost, which LibTorch would bring into the other order and back.
// Two kernels: the first has each block take the moments of some pixels, the second merges them and normalises. What
// the second reads again mostly still lies in the GPU's cache.
#include <algorithm>

#include "nn/cuda/arithmetic.hpp"
#include "nn/cuda/elements.cuh"

namespace sdtorch::cuda {
namespace {

constexpr int warp = 32;
constexpr int most_channels = 4096;     // of which a block's shared memory holds the moments
constexpr int least_pixels = 4;         // that a thread sees, so that it is worth its block's reduction
constexpr int most_chunks = 256;        // of a picture: each block of the second kernel merges their moments
constexpr int wanted_blocks = 4 * 132;  // in all: several for each multiprocessor of a large GPU

/// How a block is laid out: `columns` threads side by side read a pixel's channels, `rows` pixels at once.
struct Layout {
  int pack = 1;  ///< elements that a thread reads at once
  int columns = 0, rows = 0, threads = 0;
  int chunks = 0;  ///< of a picture's pixels, each a block's
};

Layout layout_of(const GroupNormCall& call) {
  Layout layout;
  with_type(call.type, [&](auto element) {
    constexpr int wide = widest<decltype(element)>;
    if (call.channels % wide == 0 && is_aligned(call.x) && is_aligned(call.y)) layout.pack = wide;
  });
  constexpr int usual = 256, most = 512;
  layout.columns = call.channels / layout.pack;
  layout.rows = std::max(1, std::max(usual, std::min(layout.columns, most)) / layout.columns);
  layout.threads = std::min(most, layout.rows * layout.columns);
  layout.threads = (layout.threads + warp - 1) / warp * warp;
  const int by_pixels = part_size(call.pixels, least_pixels * layout.rows);
  layout.chunks = std::max(1, std::min({by_pixels, part_size(wanted_blocks, call.images), most_chunks}));
  // Equal chunks may need fewer of them.
  layout.chunks = part_size(call.pixels, part_size(call.pixels, layout.chunks));
  return layout;
}

__device__ Moments merged_in_warp(Moments mine) {
  for (int distance = warp / 2; distance > 0; distance /= 2) {
    Moments other;
    other.count = __shfl_xor_sync(0xffffffff, mine.count, distance);
    other.mean = __shfl_xor_sync(0xffffffff, mine.mean, distance);
    other.squares = __shfl_xor_sync(0xffffffff, mine.squares, distance);
    mine = merged(mine, other);
  }
  return mine;
}

/// What is added to channel c of the block's picture before all else.
template <typename T>
__device__ __forceinline__ float added_to(const GroupNormCall& call, int image, int c) {
  float added = 0;
  if (call.channel_bias) added += to_float(static_cast<const T*>(call.channel_bias)[c]);
  if (call.shift) added += to_float(static_cast<const T*>(call.shift)[int64_t{image} * call.channels + c]);
  return added;
}

/// Of `pack` channels from pixel begin on, each stride'th below end. place: of those channels in the first pixel.
template <typename T, int pack>
__device__ void take_moments(const T* place, int64_t channels, const float* added, int begin, int end, int stride,
                             Moments* total) {
  while (begin < end) {
    const int count = min(longest_stretch, steps_until(begin, end, stride));
    Stretch stretch[pack];
    const auto first = Pack<T, pack>::at(place + begin * channels);
#pragma unroll
    for (int k = 0; k < pack; ++k) stretch[k].begin(to_float(first.values[k]) + added[k]);
#pragma unroll 4
    for (int i = 1; i < count; ++i) {
      const auto x = Pack<T, pack>::at(place + (begin + i * stride) * channels);
#pragma unroll
      for (int k = 0; k < pack; ++k) stretch[k].add(to_float(x.values[k]) + added[k]);
    }
#pragma unroll
    for (int k = 0; k < pack; ++k) total[k] = merged(total[k], stretch[k].moments(static_cast<float>(count)));
    begin += count * stride;
  }
}

/// call.partial: [image, group, chunk] (mean, squares) of the chunk's pixels and the group's channels.
template <typename T, int pack>
__global__ void __launch_bounds__(512, 1) take_partial_moments(const GroupNormCall call, const Layout layout) {
  extern __shared__ float2 of_channels[];  // [rows, channels]: mean and squares
  const int image = blockIdx.y, chunk = blockIdx.x, thread = threadIdx.x;
  const int size = part_size(call.pixels, layout.chunks);
  const int begin = chunk * size, end = min(call.pixels, begin + size);
  const T* const picture = static_cast<const T*>(call.x) + int64_t{image} * call.pixels * call.channels;

  const int row = thread / layout.columns;
  if (row < layout.rows) {
    for (int column = thread - row * layout.columns; column < layout.columns; column += layout.threads) {
      const int c = column * pack;
      float added[pack];
#pragma unroll
      for (int k = 0; k < pack; ++k) added[k] = added_to<T>(call, image, c + k);
      Moments total[pack];
      take_moments<T, pack>(picture + c, call.channels, added, begin + row, end, layout.rows, total);
#pragma unroll
      for (int k = 0; k < pack; ++k) of_channels[row * call.channels + c + k] = {total[k].mean, total[k].squares};
    }
  }
  __syncthreads();

  const int width = call.channels / call.groups, lane = thread % warp, warps = layout.threads / warp;
  for (int group = thread / warp; group < call.groups; group += warps) {
    Moments sum;
    for (int i = lane; i < layout.rows * width; i += warp) {
      const int of_row = i / width, c = group * width + (i - of_row * width);
      const float2 some = of_channels[of_row * call.channels + c];
      const auto count = static_cast<float>(steps_until(begin + of_row, end, layout.rows));
      sum = merged(sum, Moments{count, some.x, some.y});
    }
    sum = merged_in_warp(sum);
    const int64_t place = (int64_t{image} * call.groups + group) * layout.chunks + chunk;
    if (lane == 0) reinterpret_cast<float2*>(call.partial)[place] = {sum.mean, sum.squares};
  }
}

/// Each group's mean and reciprocal deviation, by whole warps.
__device__ void merge_partial_moments(const GroupNormCall& call, const Layout& layout, int image, float2* of_groups) {
  const int width = call.channels / call.groups, size = part_size(call.pixels, layout.chunks);
  const int lane = threadIdx.x % warp, warps = layout.threads / warp;
  for (int group = threadIdx.x / warp; group < call.groups; group += warps) {
    const auto* some =
        reinterpret_cast<const float2*>(call.partial) + (int64_t{image} * call.groups + group) * layout.chunks;
    Moments all;
    for (int chunk = lane; chunk < layout.chunks; chunk += warp) {
      const int pixels = min(size, call.pixels - chunk * size);
      all = merged(all, Moments{static_cast<float>(pixels * width), some[chunk].x, some[chunk].y});
    }
    all = merged_in_warp(all);
    if (lane == 0) of_groups[group] = {all.mean, reciprocal_deviation(all, call.eps)};
  }
}

template <typename T, int pack, bool activates>
__global__ void __launch_bounds__(512, 1) normalize(const GroupNormCall call, const Layout layout) {
  extern __shared__ float2 of_groups[];
  const int image = blockIdx.y, thread = threadIdx.x;
  merge_partial_moments(call, layout, image, of_groups);
  __syncthreads();

  const int size = part_size(call.pixels, layout.chunks), width = call.channels / call.groups;
  const int begin = blockIdx.x * size, end = min(call.pixels, begin + size);
  const int64_t offset = int64_t{image} * call.pixels * call.channels, channels = call.channels;
  const int row = thread / layout.columns;
  if (row >= layout.rows) return;
  for (int column = thread - row * layout.columns; column < layout.columns; column += layout.threads) {
    const int c = column * pack;
    float added[pack], mean[pack], scale[pack], bias[pack];
#pragma unroll
    for (int k = 0; k < pack; ++k) {
      const float2 group = of_groups[(c + k) / width];
      added[k] = added_to<T>(call, image, c + k);
      mean[k] = group.x;
      scale[k] = group.y * to_float(static_cast<const T*>(call.weight)[c + k]);
      bias[k] = to_float(static_cast<const T*>(call.bias)[c + k]);
    }
    const T* const from = static_cast<const T*>(call.x) + offset + c;
    T* const to = static_cast<T*>(call.y) + offset + c;
#pragma unroll 4
    for (int pixel = begin + row; pixel < end; pixel += layout.rows) {
      const auto x = Pack<T, pack>::at(from + pixel * channels);
      Pack<T, pack> y;
#pragma unroll
      for (int k = 0; k < pack; ++k) {
        const float normed = normalized(to_float(x.values[k]) + added[k], mean[k], scale[k], bias[k]);
        y.values[k] = from_float<T>(activates ? silu(normed) : normed);
      }
      y.store(to + pixel * channels);
    }
  }
}

template <typename T, int pack>
void launch(const GroupNormCall& call, const Layout& layout) {
  const auto stream = static_cast<cudaStream_t>(call.stream);
  const dim3 grid(static_cast<unsigned>(layout.chunks), static_cast<unsigned>(call.images));
  const size_t moments = sizeof(float2) * layout.rows * call.channels;
  take_partial_moments<T, pack><<<grid, layout.threads, moments, stream>>>(call, layout);
  const size_t groups = sizeof(float2) * call.groups;
  if (call.silu) {
    normalize<T, pack, true><<<grid, layout.threads, groups, stream>>>(call, layout);
  } else {
    normalize<T, pack, false><<<grid, layout.threads, groups, stream>>>(call, layout);
  }
}

}  // namespace

bool group_norm_takes(int64_t images, int64_t pixels, int64_t channels) {
  constexpr int64_t most_images = 65535;  // a grid's second axis
  constexpr int64_t most_pixels = 1 << 30;
  return images > 0 && images <= most_images && pixels > 0 && channels > 0 && channels <= most_channels &&
         pixels * channels <= most_pixels;
}

int64_t group_norm_workspace(const GroupNormCall& call) {
  return int64_t{2} * call.images * call.groups * layout_of(call).chunks;
}

void launch_group_norm(const GroupNormCall& call) {
  const Layout layout = layout_of(call);
  with_type(call.type, [&](auto element) {
    using T = decltype(element);
    if (layout.pack > 1) {
      launch<T, widest<T>>(call, layout);
    } else {
      launch<T, 1>(call, layout);
    }
  });
}

}  // namespace sdtorch::cuda
