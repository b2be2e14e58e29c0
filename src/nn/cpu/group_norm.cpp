#include "nn/cpu/group_norm.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "nn/cpu/elementwise.hpp"

namespace sdtorch::cpu {
namespace {

constexpr int64_t chunk_pixels = 64;

/// Of `pixels` pixels, by channel: the sums of x - first and of its square.
template <class T>
SDTORCH_INLINE void sum_chunk(const T* x, const T* first, int64_t pixels, int64_t channels, float* sums,
                              float* squares) {
  for (int64_t c = 0; c < channels; ++c) sums[c] = squares[c] = 0;
  for (int64_t p = 0; p < pixels; ++p) {
    for (int64_t c = 0; c < channels; ++c) {
      const float difference = to_float(x[p * channels + c]) - to_float(first[c]);
      sums[c] += difference;
      squares[c] += difference * difference;
    }
  }
}

/// y = (x - first) scale + offset by channel, activated or not.
template <class T>
SDTORCH_INLINE void apply(const T* x, const T* first, int64_t pixels, int64_t channels, const float* scale,
                          const float* offset, bool activated, T* y) {
  for (int64_t p = 0; p < pixels; ++p, x += channels, y += channels) {
    if (activated) {
      for (int64_t c = 0; c < channels; ++c) {
        store(y[c], silu((to_float(x[c]) - to_float(first[c])) * scale[c] + offset[c]));
      }
    } else {
      for (int64_t c = 0; c < channels; ++c) {
        store(y[c], (to_float(x[c]) - to_float(first[c])) * scale[c] + offset[c]);
      }
    }
  }
}

SDTORCH_CPU_VERSIONS void sum_pixels(const float* __restrict x, const float* __restrict first, int64_t pixels,
                                     int64_t channels, float* __restrict sums, float* __restrict squares) {
  sum_chunk(x, first, pixels, channels, sums, squares);
}
SDTORCH_CPU_VERSIONS void sum_pixels(const Bf16* __restrict x, const Bf16* __restrict first, int64_t pixels,
                                     int64_t channels, float* __restrict sums, float* __restrict squares) {
  sum_chunk(x, first, pixels, channels, sums, squares);
}
SDTORCH_CPU_VERSIONS void normalise_pixels(const float* __restrict x, const float* __restrict first, int64_t pixels,
                                           int64_t channels, const float* __restrict scale,
                                           const float* __restrict offset, bool activated, float* __restrict y) {
  apply(x, first, pixels, channels, scale, offset, activated, y);
}
SDTORCH_CPU_VERSIONS void normalise_pixels(const Bf16* __restrict x, const Bf16* __restrict first, int64_t pixels,
                                           int64_t channels, const float* __restrict scale,
                                           const float* __restrict offset, bool activated, Bf16* __restrict y) {
  apply(x, first, pixels, channels, scale, offset, activated, y);
}

/// What every pixel's difference from the first is multiplied by and what is added to it, by channel: taken of
/// differences, they keep their digits where a mean is large.
struct Affine {
  std::vector<float> scale, offset;
};

/// From the sums of one picture's chunks, [chunks][2][channels]. shift: [channels], or nullptr.
template <class T>
Affine affine_of(const float* chunks, int64_t count, const T* first, const T* shift, const T* weight, const T* bias,
                 int64_t pixels, int64_t channels, const GroupNormParameters& p) {
  std::vector<double> sums(static_cast<size_t>(2 * channels));
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t c = 0; c < 2 * channels; ++c) sums[static_cast<size_t>(c)] += chunks[i * 2 * channels + c];
  }
  Affine affine{.scale = std::vector<float>(static_cast<size_t>(channels)),
                .offset = std::vector<float>(static_cast<size_t>(channels))};
  const int64_t width = channels / p.groups;
  const auto n = static_cast<double>(pixels), all = n * static_cast<double>(width);
  for (int64_t group = 0; group < p.groups; ++group) {
    const int64_t begin = group * width, end = begin + width;
    const auto base = [&](int64_t c) {
      return static_cast<double>(to_float(first[c])) + (shift ? static_cast<double>(to_float(shift[c])) : 0.0);
    };
    double mean = 0, variance = 0;
    for (int64_t c = begin; c < end; ++c) mean += (base(c) * n + sums[static_cast<size_t>(c)]) / all;
    for (int64_t c = begin; c < end; ++c) {
      // The channel's own deviation, and its mean's distance from the group's.
      const double sum = sums[static_cast<size_t>(c)], squares = sums[static_cast<size_t>(channels + c)];
      const double distance = base(c) + sum / n - mean;
      variance += (squares - sum * sum / n) / all + distance * distance * n / all;
    }
    // Beyond fp32's range the result is no number, which is told: it must not be taken for a flat picture.
    const double deviation = std::isfinite(variance) ? 1 / std::sqrt(std::max(variance, 0.0) + p.eps) : NAN;
    for (int64_t c = begin; c < end; ++c) {
      const double scale = to_float(weight[c]) * deviation;
      affine.scale[static_cast<size_t>(c)] = static_cast<float>(scale);
      affine.offset[static_cast<size_t>(c)] = static_cast<float>(to_float(bias[c]) + (base(c) - mean) * scale);
    }
  }
  return affine;
}

template <class T>
void normalise(const at::Tensor& x_tensor, const GroupNormParameters& p, const at::Tensor& shift, at::Tensor& out) {
  const int64_t batch = x_tensor.size(0), channels = x_tensor.size(1), pixels = x_tensor.size(2) * x_tensor.size(3);
  const int64_t chunks = (pixels + chunk_pixels - 1) / chunk_pixels;
  const auto* x = static_cast<const T*>(x_tensor.const_data_ptr());
  const auto* shifts = shift.defined() ? static_cast<const T*>(shift.const_data_ptr()) : nullptr;
  const auto* weight = static_cast<const T*>(p.weight.const_data_ptr());
  const auto* bias = static_cast<const T*>(p.bias.const_data_ptr());
  auto* y = static_cast<T*>(out.mutable_data_ptr());

  const at::Tensor sums = at::empty({batch, chunks, 2, channels}, x_tensor.options().dtype(at::kFloat));
  auto* sum = static_cast<float*>(sums.mutable_data_ptr());
  const auto pixels_of = [&](int64_t chunk) { return std::min(chunk_pixels, pixels - chunk * chunk_pixels); };
  at::parallel_for(0, batch * chunks, 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T* picture = x + i / chunks * pixels * channels;
      const int64_t chunk = i % chunks;
      sum_pixels(picture + chunk * chunk_pixels * channels, picture, pixels_of(chunk), channels, sum + i * 2 * channels,
                 sum + (i * 2 + 1) * channels);
    }
  });
  std::vector<Affine> affine;
  for (int64_t b = 0; b < batch; ++b) {
    affine.push_back(affine_of(sum + b * chunks * 2 * channels, chunks, x + b * pixels * channels,
                               shifts ? shifts + b * channels : nullptr, weight, bias, pixels, channels, p));
  }
  at::parallel_for(0, batch * chunks, 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t chunk = i % chunks, picture = i / chunks * pixels * channels;
      const int64_t at = picture + chunk * chunk_pixels * channels;
      const Affine& own = affine[static_cast<size_t>(i / chunks)];
      normalise_pixels(x + at, x + picture, pixels_of(chunk), channels, own.scale.data(), own.offset.data(), p.silu,
                       y + at);
    }
  });
}

}  // namespace

bool group_norm_takes(const at::Tensor& x) {
  const bool known = x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kFloat;
  return x.is_cpu() && known && x.dim() == 4 && x.numel() > 0;
}

at::Tensor group_norm(const at::Tensor& x, const GroupNormParameters& parameters, const at::Tensor& shift) {
  const at::Tensor innermost = x.contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor dense_shift = shift.defined() ? shift.contiguous() : shift;
  at::Tensor out = at::empty(x.sizes(), x.options(), at::MemoryFormat::ChannelsLast);
  if (x.scalar_type() == at::kFloat) {
    normalise<float>(innermost, parameters, dense_shift, out);
  } else {
    normalise<Bf16>(innermost, parameters, dense_shift, out);
  }
  return out;
}

}  // namespace sdtorch::cpu
