#include "nn/cpu/winograd.hpp"

#include <ATen/Parallel.h>

#include "core/instructions.hpp"

namespace sdtorch::cpu {
namespace {

constexpr int64_t group_size = 64;  // channels of the output whose filters lie together

}  // namespace

bool can_filter(const at::Tensor& weight, int64_t stride, int64_t padding) {
  if (!weight.is_cpu() || weight.scalar_type() != at::kBFloat16 || !has_avx512_bf16() || has_amx_bf16()) return false;
  return weight.size(2) == 3 && weight.size(3) == 3 && stride == 1 && padding == 1 && weight.size(1) % 16 == 0 &&
         weight.size(0) % group_size == 0;
}

at::Tensor pack_filters(const at::Tensor& weight) {
  const at::Tensor innermost = weight.permute({0, 2, 3, 1}).contiguous().view(at::kInt);  // pairs of channels
  return innermost.flatten(1, 2)
      .unflatten(0, {-1, group_size})
      .permute({0, 3, 2, 1})
      .contiguous()
      .view(at::kBFloat16)
      .unflatten(3, {group_size, 2});
}

at::Tensor weight_of_filters(const at::Tensor& packed) {
  return packed.permute({0, 3, 1, 4, 2}).flatten(2, 3).flatten(0, 1).unflatten(2, {3, 3}).contiguous();
}

}  // namespace sdtorch::cpu

#if !defined(__x86_64__)

namespace sdtorch::cpu {

at::Tensor filtered(const at::Tensor& x, const at::Tensor& packed, const at::Tensor& bias) {
  return at::conv2d(x, weight_of_filters(packed), bias, 1, 1);
}

at::Tensor filtered_doubled(const at::Tensor& x, const at::Tensor& packed, const at::Tensor& bias) {
  return filtered(at::upsample_nearest2d(x, {2 * x.size(2), 2 * x.size(3)}), packed, bias);
}

}  // namespace sdtorch::cpu

#else

#include <algorithm>
#include <array>
#include <vector>

#include "nn/cpu/bf16_products.hpp"

namespace sdtorch::cpu {
namespace {

static_assert(group_size == product_columns);

constexpr int64_t taps = 9;          // of a filter
constexpr int64_t places = 16;       // of a transformed tile or filter
constexpr int64_t block_tiles = 64;  // whose inputs and products lie in the second cache

/// The pixels of a picture [B, h, w, channels], and the tiles of 2×2 that it falls into.
struct Tiling {
  int64_t batch, height, width;
  int64_t enlarged;  ///< the input's pixels stand for so many each along both axes: 1 or 2

  int64_t down() const { return (height + 1) / 2; }
  int64_t across() const { return (width + 1) / 2; }
  int64_t count() const { return batch * down() * across(); }

  /// Where the pixel lies that is so far from a tile's first; -1 outside of the picture.
  int64_t pixel(int64_t tile, int64_t down_by, int64_t right_by) const {
    const int64_t y = 2 * (tile / across() % down()) + down_by, x = 2 * (tile % across()) + right_by;
    if (y < 0 || y >= height || x < 0 || x >= width) return -1;
    return (tile / (across() * down()) * height + y) * width + x;
  }

  /// The same of the input.
  int64_t input_pixel(int64_t tile, int64_t down_by, int64_t right_by) const {
    const int64_t at = pixel(tile, down_by, right_by);
    if (enlarged == 1 || at < 0) return at;
    return at / width / enlarged * (width / enlarged) + at % width / enlarged;
  }

  /// Whether a transformed tile is zero there: a difference of the two middle rows or columns, which are one doubled.
  bool is_zero(int64_t place) const { return enlarged == 2 && (place / 4 == 2 || place % 4 == 2); }
};

SDTORCH_AVX512_BF16 inline void store_bf16(uint16_t* to, __m512 x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
}

/// Bᵀ d B of 4×4 pixels, by channel; the places of the result lie `apart`.
SDTORCH_AVX512_BF16 void transform_tile(const std::array<const uint16_t*, places>& pixels, int64_t channels,
                                        uint16_t* to, int64_t apart) {
  for (int64_t c = 0; c < channels; c += lanes) {
    __m512 rows[4][4];
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; ++j) {
      const __m512 d0 = load_bf16(pixels[j] + c), d1 = load_bf16(pixels[4 + j] + c);
      const __m512 d2 = load_bf16(pixels[8 + j] + c), d3 = load_bf16(pixels[12 + j] + c);
      rows[0][j] = _mm512_sub_ps(d0, d2);
      rows[1][j] = _mm512_add_ps(d1, d2);
      rows[2][j] = _mm512_sub_ps(d2, d1);
      rows[3][j] = _mm512_sub_ps(d1, d3);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      uint16_t* row = to + i * 4 * apart + c;
      store_bf16(row, _mm512_sub_ps(rows[i][0], rows[i][2]));
      store_bf16(row + apart, _mm512_add_ps(rows[i][1], rows[i][2]));
      store_bf16(row + 2 * apart, _mm512_sub_ps(rows[i][2], rows[i][1]));
      store_bf16(row + 3 * apart, _mm512_sub_ps(rows[i][1], rows[i][3]));
    }
  }
}

/// Aᵀ m A + bias of a tile's products, by channel, 64 of them; pixels outside of the picture are nullptr.
SDTORCH_AVX512_BF16 void finish_tile(const float* products, int64_t apart, const float* bias,
                                     const std::array<uint16_t*, 4>& pixels) {
  for (int64_t c = 0; c < product_columns; c += lanes) {
    __m512 rows[2][4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const float* m = products + j * apart + c;
      const __m512 m0 = _mm512_load_ps(m), m1 = _mm512_load_ps(m + 4 * apart);
      const __m512 m2 = _mm512_load_ps(m + 8 * apart), m3 = _mm512_load_ps(m + 12 * apart);
      rows[0][j] = _mm512_add_ps(_mm512_add_ps(m0, m1), m2);
      rows[1][j] = _mm512_sub_ps(_mm512_sub_ps(m1, m2), m3);
    }
    const __m512 own_bias = _mm512_loadu_ps(bias + c);
#pragma GCC unroll 2
    for (size_t i = 0; i < 2; ++i) {
      const __m512 left = _mm512_add_ps(_mm512_add_ps(rows[i][0], rows[i][1]), rows[i][2]);
      const __m512 right = _mm512_sub_ps(_mm512_sub_ps(rows[i][1], rows[i][2]), rows[i][3]);
      if (pixels[2 * i]) store_bf16(pixels[2 * i] + c, _mm512_add_ps(left, own_bias));
      if (pixels[2 * i + 1]) store_bf16(pixels[2 * i + 1] + c, _mm512_add_ps(right, own_bias));
    }
  }
}

/// G g Gᵀ of the filters from one pair of channels to 64: weights [9][64], to 16 places that lie `apart`.
SDTORCH_AVX512_BF16 void transform_filters(const Pair* weights, Pair* to, int64_t apart) {
  const __m512 half = _mm512_set1_ps(0.5F);
  for (int64_t c = 0; c < product_columns; c += lanes) {
    __m256i first[places];
    for (const bool second : {false, true}) {
      __m512 rows[4][3];
#pragma GCC unroll 3
      for (int j = 0; j < 3; ++j) {
        __m512 g[3];
#pragma GCC unroll 3
        for (int i = 0; i < 3; ++i) {
          const __m512i pair = _mm512_load_si512(weights + (3 * i + j) * product_columns + c);
          g[i] = _mm512_castsi512_ps(second ? _mm512_and_si512(pair, _mm512_set1_epi32(static_cast<int>(0xffff0000U)))
                                            : _mm512_slli_epi32(pair, 16));
        }
        rows[0][j] = g[0];
        rows[1][j] = _mm512_mul_ps(_mm512_add_ps(_mm512_add_ps(g[0], g[1]), g[2]), half);
        rows[2][j] = _mm512_mul_ps(_mm512_add_ps(_mm512_sub_ps(g[0], g[1]), g[2]), half);
        rows[3][j] = g[2];
      }
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const __m512 r0 = rows[i][0], r1 = rows[i][1], r2 = rows[i][2];
        const __m512 u[4] = {r0, _mm512_mul_ps(_mm512_add_ps(_mm512_add_ps(r0, r1), r2), half),
                             _mm512_mul_ps(_mm512_add_ps(_mm512_sub_ps(r0, r1), r2), half), r2};
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) {
          const auto rounded = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(u[j]));
          if (!second) {
            first[4 * i + j] = rounded;
          } else {
            const __m512i low = _mm512_cvtepu16_epi32(first[4 * i + j]), high = _mm512_cvtepu16_epi32(rounded);
            _mm512_store_si512(to + (4 * i + j) * apart + c, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
          }
        }
      }
    }
  }
}

/// All of a layer's, bf16 [out / 64, 16, in / 2, 64, 2].
at::Tensor transformed(const at::Tensor& packed) {
  const int64_t groups = packed.size(0), pairs = packed.size(1), apart = pairs * product_columns;
  at::Tensor all = at::empty({groups, places, pairs, product_columns, 2}, packed.options());
  const auto* const from = static_cast<const Pair*>(packed.const_data_ptr());
  auto* const to = static_cast<Pair*>(all.mutable_data_ptr());
  at::parallel_for(0, groups * pairs, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      transform_filters(from + i * taps * product_columns,
                        to + i / pairs * places * apart + i % pairs * product_columns, apart);
    }
  });
  return all;
}

/// A convolution of the tiles of a picture or a batch, a block at a time.
class Convolution {
 public:
  Convolution(const at::Tensor& x, const at::Tensor& packed, const at::Tensor& bias, at::Tensor& y)
      : tiling_{.batch = x.size(0), .height = y.size(2), .width = y.size(3), .enlarged = y.size(2) / x.size(2)},
        in_(x.size(1)),
        out_(y.size(1)),
        from_(static_cast<const uint16_t*>(x.const_data_ptr())),
        to_(static_cast<uint16_t*>(y.mutable_data_ptr())),
        filters_(transformed(packed)),
        bias_(bias.defined() ? bias.to(at::kFloat).contiguous() : at::zeros({out_}, at::kFloat)),
        outside_(static_cast<size_t>(in_)) {}

  void run() const {
    const int64_t blocks = (tiling_.count() + block_tiles - 1) / block_tiles, groups = filters_.size(0);
    // Few blocks are shared by threads, each of which computes some of their channels.
    const int64_t shares = std::clamp<int64_t>(2 * at::get_num_threads() / blocks, 1, groups);
    at::parallel_for(0, blocks * shares, 1, [&](int64_t begin, int64_t end) {
      const at::Tensor inputs = at::empty({places, block_tiles, in_}, filters_.options());
      // Places that are passed over stay zeros.
      const at::Tensor products = at::zeros({places, block_tiles, product_columns}, at::kFloat);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i / shares * block_tiles, count = std::min(block_tiles, tiling_.count() - first);
        if (i == begin || i % shares == 0) {
          transform_inputs(first, count, static_cast<uint16_t*>(inputs.mutable_data_ptr()));
        }
        for (int64_t group = i % shares * groups / shares; group < (i % shares + 1) * groups / shares; ++group) {
          multiply(static_cast<const Pair*>(inputs.const_data_ptr()), count, group, products.mutable_data_ptr<float>());
          finish(first, count, group, products.const_data_ptr<float>());
        }
      }
    });
  }

 private:
  void transform_inputs(int64_t first, int64_t count, uint16_t* inputs) const {
    for (int64_t tile = 0; tile < count; ++tile) {
      std::array<const uint16_t*, places> pixels{};
      for (int64_t i = 0; i < places; ++i) {
        const int64_t pixel = tiling_.input_pixel(first + tile, i / 4 - 1, i % 4 - 1);
        pixels[static_cast<size_t>(i)] = pixel < 0 ? outside_.data() : from_ + pixel * in_;
      }
      transform_tile(pixels, in_, inputs + tile * in_, block_tiles * in_);
    }
  }

  void multiply(const Pair* inputs, int64_t count, int64_t group, float* products) const {
    const int64_t pairs = in_ / 2;
    const int64_t rows = (count + Avx512Products::row_step - 1) / Avx512Products::row_step * Avx512Products::row_step;
    const Pair* const filters =
        static_cast<const Pair*>(filters_.const_data_ptr()) + group * places * pairs * product_columns;
    for (int64_t place = 0; place < places; ++place) {
      if (tiling_.is_zero(place)) continue;
      Avx512Products::multiply<false>(inputs + place * block_tiles * pairs, pairs, rows,
                                      filters + place * pairs * product_columns, pairs,
                                      products + place * block_tiles * product_columns);
    }
  }

  void finish(int64_t first, int64_t count, int64_t group, const float* products) const {
    const float* const bias = bias_.const_data_ptr<float>() + group * product_columns;
    for (int64_t tile = 0; tile < count; ++tile) {
      std::array<uint16_t*, 4> pixels{};
      for (int64_t i = 0; i < 4; ++i) {
        const int64_t pixel = tiling_.pixel(first + tile, i / 2, i % 2);
        if (pixel >= 0) pixels[static_cast<size_t>(i)] = to_ + pixel * out_ + group * product_columns;
      }
      finish_tile(products + tile * product_columns, block_tiles * product_columns, bias, pixels);
    }
  }

  Tiling tiling_;
  int64_t in_, out_;
  const uint16_t* from_;
  uint16_t* to_;
  at::Tensor filters_;             ///< transformed
  at::Tensor bias_;                ///< fp32 [out_]
  std::vector<uint16_t> outside_;  ///< a pixel of zeros
};

at::Tensor convolved(const at::Tensor& x, const at::Tensor& packed, const at::Tensor& bias, int64_t enlarged) {
  at::Tensor y = at::empty({x.size(0), packed.size(0) * product_columns, enlarged * x.size(2), enlarged * x.size(3)},
                           x.options(), at::MemoryFormat::ChannelsLast);
  Convolution(x, packed, bias, y).run();
  return y;
}

}  // namespace

at::Tensor filtered(const at::Tensor& x, const at::Tensor& packed, const at::Tensor& bias) {
  return convolved(x, packed, bias, 1);
}

at::Tensor filtered_doubled(const at::Tensor& x, const at::Tensor& packed, const at::Tensor& bias) {
  return convolved(x, packed, bias, 2);
}

}  // namespace sdtorch::cpu

#endif
