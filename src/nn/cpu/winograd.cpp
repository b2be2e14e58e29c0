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
constexpr int64_t block_tiles = 64;  // whose products lie in the second cache

/// The pixels of a picture [B, h, w, channels], and the tiles of 2×2 that it falls into.
struct Tiling {
  int64_t batch, height, width;

  int64_t down() const { return (height + 1) / 2; }
  int64_t across() const { return (width + 1) / 2; }
  int64_t count() const { return batch * down() * across(); }

  /// Where the pixel lies that is so far from a tile's first; -1 outside of the picture.
  int64_t pixel(int64_t tile, int64_t down_by, int64_t right_by) const {
    const int64_t y = 2 * (tile / across() % down()) + down_by, x = 2 * (tile % across()) + right_by;
    if (y < 0 || y >= height || x < 0 || x >= width) return -1;
    return (tile / (across() * down()) * height + y) * width + x;
  }
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

/// Where a call's transformed filters are had from. Those of few channels are made once and serve all tiles; those of
/// many, which would pass through memory twice, are made for 64 channels of the output when their turn comes.
class Filters {
 public:
  explicit Filters(const at::Tensor& packed) : packed_(packed), pairs_(packed.size(1)), groups_(packed.size(0)) {
    constexpr int64_t most_pairs = int64_t{4} << 20;  // of bf16: half of a third cache
    if (groups_ * filters_of_group() > most_pairs) return;
    all_ = at::empty({groups_ * filters_of_group() * 2}, packed.options());
    at::parallel_for(0, groups_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t group = begin; group < end; ++group) make(group, pairs_of(all_) + group * filters_of_group());
    });
  }

  int64_t groups() const { return groups_; }

  /// For one thread to make filters in.
  at::Tensor room() const {
    return all_.defined() ? at::Tensor() : at::empty({filters_of_group() * 2}, packed_.options());
  }

  /// [16][pairs][64], for the group's channels of the output.
  const Pair* of(int64_t group, const at::Tensor& room) const {
    if (all_.defined()) return pairs_of(all_) + group * filters_of_group();
    make(group, pairs_of(room));
    return pairs_of(room);
  }

 private:
  static Pair* pairs_of(const at::Tensor& tensor) { return static_cast<Pair*>(tensor.mutable_data_ptr()); }

  int64_t filters_of_group() const { return places * pairs_ * product_columns; }

  void make(int64_t group, Pair* to) const {
    const Pair* from = static_cast<const Pair*>(packed_.const_data_ptr()) + group * pairs_ * taps * product_columns;
    for (int64_t pair = 0; pair < pairs_; ++pair) {
      transform_filters(from + pair * taps * product_columns, to + pair * product_columns, pairs_ * product_columns);
    }
  }

  const at::Tensor& packed_;
  int64_t pairs_, groups_;
  at::Tensor all_{};
};

/// A convolution of one picture's or batch's tiles, some at a time.
class Convolution {
 public:
  Convolution(const at::Tensor& x, const at::Tensor& packed, const at::Tensor& bias, at::Tensor& y)
      : tiling_{x.size(0), x.size(2), x.size(3)},
        in_(x.size(1)),
        out_(y.size(1)),
        tiles_(tiles_at_once(tiling_.count(), in_)),
        from_(static_cast<const uint16_t*>(x.const_data_ptr())),
        to_(static_cast<uint16_t*>(y.mutable_data_ptr())),
        inputs_(at::empty({places, tiles_, in_}, x.options())),
        bias_(bias.defined() ? bias.to(at::kFloat).contiguous() : at::zeros({out_}, at::kFloat)),
        outside_(static_cast<size_t>(in_)),
        filters_(packed) {}

  void run() {
    for (int64_t first = 0; first < tiling_.count(); first += tiles_) {
      const int64_t count = std::min(tiles_, tiling_.count() - first);
      transform_inputs(first, count);
      multiply(first, count);
    }
  }

 private:
  /// So many that their inputs, sixteen for each channel, stay in the nearer caches.
  static int64_t tiles_at_once(int64_t all, int64_t in) {
    constexpr int64_t most_inputs = int64_t{2} << 20;  // bf16
    const int64_t blocks = std::max<int64_t>(most_inputs / (places * in * block_tiles), 2);
    return std::min(blocks, (all + block_tiles - 1) / block_tiles) * block_tiles;
  }

  void transform_inputs(int64_t first, int64_t count) {
    auto* const v = static_cast<uint16_t*>(inputs_.mutable_data_ptr());
    at::parallel_for(0, count, 8, [&](int64_t begin, int64_t end) {
      for (int64_t tile = begin; tile < end; ++tile) {
        std::array<const uint16_t*, places> pixels{};
        for (int64_t i = 0; i < places; ++i) {
          const int64_t pixel = tiling_.pixel(first + tile, i / 4 - 1, i % 4 - 1);
          pixels[static_cast<size_t>(i)] = pixel < 0 ? outside_.data() : from_ + pixel * in_;
        }
        transform_tile(pixels, in_, v + tile * in_, tiles_ * in_);
      }
    });
  }

  void multiply(int64_t first, int64_t count) {
    const int64_t blocks = (count + block_tiles - 1) / block_tiles, groups = filters_.groups();
    at::parallel_for(0, groups * blocks, 1, [&](int64_t begin, int64_t end) {
      const at::Tensor room = filters_.room();
      const at::Tensor products = at::empty({places, block_tiles, product_columns}, at::kFloat);
      const Pair* filters = nullptr;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t group = i / blocks, tile = i % blocks * block_tiles;
        if (i == begin || i % blocks == 0) filters = filters_.of(group, room);
        multiply_block(filters, tile, std::min(block_tiles, count - tile), products.mutable_data_ptr<float>());
        finish_block(first + tile, std::min(block_tiles, count - tile), group, products.const_data_ptr<float>());
      }
    });
  }

  void multiply_block(const Pair* filters, int64_t tile, int64_t count, float* products) const {
    const int64_t pairs = in_ / 2;
    const int64_t rows = (count + Avx512Products::row_step - 1) / Avx512Products::row_step * Avx512Products::row_step;
    const auto* const v = static_cast<const Pair*>(inputs_.const_data_ptr());
    for (int64_t place = 0; place < places; ++place) {
      Avx512Products::multiply<false>(v + (place * tiles_ + tile) * pairs, pairs, rows,
                                      filters + place * pairs * product_columns, pairs,
                                      products + place * block_tiles * product_columns);
    }
  }

  void finish_block(int64_t first, int64_t count, int64_t group, const float* products) const {
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
  int64_t tiles_;  ///< at once: a multiple of block_tiles
  const uint16_t* from_;
  uint16_t* to_;
  at::Tensor inputs_;              ///< transformed, bf16 [16, tiles_, in_]
  at::Tensor bias_;                ///< fp32 [out_]
  std::vector<uint16_t> outside_;  ///< a pixel of zeros
  Filters filters_;
};

}  // namespace

at::Tensor filtered(const at::Tensor& x, const at::Tensor& packed, const at::Tensor& bias) {
  at::Tensor y = at::empty({x.size(0), packed.size(0) * product_columns, x.size(2), x.size(3)}, x.options(),
                           at::MemoryFormat::ChannelsLast);
  Convolution(x, packed, bias, y).run();
  return y;
}

}  // namespace sdtorch::cpu

#endif
