#include "nn/cpu/winograd.hpp"

#include <ATen/Parallel.h>

#include "core/instructions.hpp"
#include "nn/cpu/elementwise.hpp"

namespace sdtorch::cpu {
namespace {

/// G ⊗ G, [16, 9]: what a filter's nine become sixteen by (Lavin & Gray's G for F(2, 3)).
at::Tensor filter_transform() {
  const at::Tensor g =
      at::tensor({1.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.5, -0.5, 0.5, 0.0, 0.0, 1.0}, at::kDouble).view({4, 3});
  return at::kron(g, g);
}

/// G g Gᵀ of one filter's nine weights; the sixteen places of the result lie `apart`.
void transform_filter(const Bf16* weights, Bf16* to, int64_t apart) {
  float rows[4][3];
  for (int j = 0; j < 3; ++j) {
    const float g0 = to_float(weights[j]), g1 = to_float(weights[3 + j]), g2 = to_float(weights[6 + j]);
    rows[0][j] = g0;
    rows[1][j] = (g0 + g1 + g2) / 2;
    rows[2][j] = (g0 - g1 + g2) / 2;
    rows[3][j] = g2;
  }
  for (int i = 0; i < 4; ++i) {
    const float r0 = rows[i][0], r1 = rows[i][1], r2 = rows[i][2];
    store(to[(4 * i) * apart], r0);
    store(to[(4 * i + 1) * apart], (r0 + r1 + r2) / 2);
    store(to[(4 * i + 2) * apart], (r0 - r1 + r2) / 2);
    store(to[(4 * i + 3) * apart], r2);
  }
}

}  // namespace

bool can_filter(const at::Tensor& weight, int64_t stride, int64_t padding) {
  constexpr int64_t most = int64_t{1} << 21;  // of in · out
  if (!weight.is_cpu() || weight.scalar_type() != at::kBFloat16 || !has_avx512_bf16() || has_amx_bf16()) return false;
  const int64_t out = weight.size(0), in = weight.size(1);
  return weight.size(2) == 3 && weight.size(3) == 3 && stride == 1 && padding == 1 && in % 16 == 0 && out % 64 == 0 &&
         in * out <= most;
}

at::Tensor filters(const at::Tensor& weight) {
  const at::Tensor plain = weight.contiguous();
  const int64_t groups = weight.size(0) / 64, in = weight.size(1), apart = groups * in * 64;
  const at::Tensor all = at::empty({16, groups, in / 2, 64, 2}, weight.options());
  const auto* from = static_cast<const Bf16*>(plain.const_data_ptr());
  auto* to = static_cast<Bf16*>(all.mutable_data_ptr());
  at::parallel_for(0, weight.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t out = begin; out < end; ++out) {
      for (int64_t channel = 0; channel < in; ++channel) {
        const int64_t pair = (out / 64 * (in / 2) + channel / 2) * 64 + out % 64;
        transform_filter(from + (out * in + channel) * 9, to + pair * 2 + channel % 2, apart);
      }
    }
  });
  return all;
}

at::Tensor weight_of_filters(const at::Tensor& filters) {
  const at::Tensor inverse = at::linalg_pinv(filter_transform()).to(at::kFloat).t();
  const at::Tensor u = filters.permute({1, 3, 2, 4, 0}).reshape({-1, 16}).to(at::kFloat);
  return at::matmul(u, inverse).to(at::kBFloat16).view({filters.size(1) * 64, filters.size(2) * 2, 3, 3});
}

}  // namespace sdtorch::cpu

#if !defined(__x86_64__)

namespace sdtorch::cpu {

at::Tensor filtered(const at::Tensor& x, const at::Tensor& filters, const at::Tensor& bias) {
  return at::conv2d(x, weight_of_filters(filters), bias, 1, 1);
}

}  // namespace sdtorch::cpu

#else

#include <algorithm>
#include <array>
#include <vector>

#include "nn/cpu/bf16_products.hpp"

namespace sdtorch::cpu {
namespace {

constexpr int64_t places = 16;       // of a transformed tile
constexpr int64_t block_tiles = 64;  // whose inputs and products lie in the second cache

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

}  // namespace

at::Tensor filtered(const at::Tensor& x, const at::Tensor& filters, const at::Tensor& bias) {
  const int64_t in = x.size(1), out = filters.size(1) * product_columns, pairs = in / 2;
  const Tiling tiling{x.size(0), x.size(2), x.size(3)};
  at::Tensor y = at::empty({x.size(0), out, x.size(2), x.size(3)}, x.options(), at::MemoryFormat::ChannelsLast);
  const auto* from = static_cast<const uint16_t*>(x.const_data_ptr());
  auto* to = static_cast<uint16_t*>(y.mutable_data_ptr());
  const auto* u = static_cast<const Pair*>(filters.const_data_ptr());
  const at::Tensor biases = bias.defined() ? bias.to(at::kFloat).contiguous() : at::zeros({out}, at::kFloat);
  const auto* added = biases.const_data_ptr<float>();
  const std::vector<uint16_t> zeros(static_cast<size_t>(in));

  at::parallel_for(0, (tiling.count() + block_tiles - 1) / block_tiles, 1, [&](int64_t begin, int64_t end) {
    const at::Tensor inputs = at::empty({places, block_tiles, in}, x.options());
    const at::Tensor products = at::empty({places, block_tiles, product_columns}, x.options().dtype(at::kFloat));
    auto* v = static_cast<uint16_t*>(inputs.mutable_data_ptr());
    auto* m = static_cast<float*>(products.mutable_data_ptr());
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block * block_tiles, count = std::min(block_tiles, tiling.count() - first);
      const int64_t rows = (count + Avx512Products::row_step - 1) / Avx512Products::row_step * Avx512Products::row_step;
      for (int64_t tile = 0; tile < count; ++tile) {
        std::array<const uint16_t*, places> pixels{};
        for (int64_t i = 0; i < places; ++i) {
          const int64_t pixel = tiling.pixel(first + tile, i / 4 - 1, i % 4 - 1);
          pixels[static_cast<size_t>(i)] = pixel < 0 ? zeros.data() : from + pixel * in;
        }
        transform_tile(pixels, in, v + tile * in, block_tiles * in);
      }
      for (int64_t group = 0; group < filters.size(1); ++group) {
        for (int64_t place = 0; place < places; ++place) {
          Avx512Products::multiply<false>(reinterpret_cast<const Pair*>(v + place * block_tiles * in), pairs, rows,
                                          u + (place * filters.size(1) + group) * pairs * product_columns, pairs,
                                          m + place * block_tiles * product_columns);
        }
        for (int64_t tile = 0; tile < count; ++tile) {
          std::array<uint16_t*, 4> pixels{};
          for (int64_t i = 0; i < 4; ++i) {
            const int64_t pixel = tiling.pixel(first + tile, i / 2, i % 2);
            if (pixel >= 0) pixels[static_cast<size_t>(i)] = to + pixel * out + group * product_columns;
          }
          finish_tile(m + tile * product_columns, block_tiles * product_columns, added + group * product_columns,
                      pixels);
        }
      }
    }
  });
  return y;
}

}  // namespace sdtorch::cpu

#endif
