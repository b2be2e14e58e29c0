// Products of bf16 with 64 columns, in each unit's instructions: what our own attention and convolutions are made of.
//
// c (+)= a · b: a is [rows][pairs], its rows a_stride apart, b [pairs][64], c fp32 [rows][64],
// where a pair is two bf16 that are multiplied and summed together. c and b begin at multiples of 64 bytes.
#pragma once

#include <cstdint>

#include "nn/cpu/intrinsics.hpp"

namespace sdtorch::cpu {

using Pair = uint32_t;

inline constexpr int64_t product_columns = 64;  ///< the columns of every product
inline constexpr int64_t product_registers = product_columns / lanes;

/// Four rows at a time: 16 sums in registers, against which each pair of a row is held in all lanes.
struct Avx512Products {
  static constexpr int64_t row_step = 4;   ///< rows come in multiples of it
  static constexpr int64_t pair_step = 1;  ///< so do pairs

  static void begin() {}
  static void end() {}

  template <bool accumulate>
  SDTORCH_AVX512_BF16 static void multiply(const Pair* a, int64_t a_stride, int64_t rows, const Pair* b, int64_t pairs,
                                           float* c) {
    for (int64_t row = 0; row < rows; row += row_step) {
      multiply_rows<accumulate>(a + row * a_stride, a_stride, b, pairs, c + row * product_columns);
    }
  }

 private:
  template <bool accumulate>
  SDTORCH_AVX512_BF16 static void multiply_rows(const Pair* a, int64_t a_stride, const Pair* b, int64_t pairs,
                                                float* c) {
    __m512 sums[row_step][product_registers];
#pragma GCC unroll 8
    for (int r = 0; r < row_step; ++r) {
#pragma GCC unroll 8
      for (int j = 0; j < product_registers; ++j) {
        sums[r][j] = accumulate ? _mm512_load_ps(c + r * product_columns + j * lanes) : _mm512_setzero_ps();
      }
    }
    for (int64_t pair = 0; pair < pairs; ++pair) {
      __m512bh columns[product_registers];
#pragma GCC unroll 8
      for (int j = 0; j < product_registers; ++j) {
        columns[j] = reinterpret_cast<__m512bh>(_mm512_load_si512(b + pair * product_columns + j * lanes));
      }
#pragma GCC unroll 8
      for (int r = 0; r < row_step; ++r) {
        const auto element = reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(a[r * a_stride + pair])));
#pragma GCC unroll 8
        for (int j = 0; j < product_registers; ++j) sums[r][j] = _mm512_dpbf16_ps(sums[r][j], element, columns[j]);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < row_step; ++r) {
#pragma GCC unroll 8
      for (int j = 0; j < product_registers; ++j) _mm512_store_ps(c + r * product_columns + j * lanes, sums[r][j]);
    }
  }
};

/// Sixteen rows at a time in four tiles of sums, which a tile of a is multiplied into by four of b.
struct AmxProducts {
  static constexpr int64_t row_step = 16;
  static constexpr int64_t pair_step = 16;

  SDTORCH_AMX_BF16 static void begin() {
    struct alignas(64) {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } const config;
    _tile_loadconfig(&config);
  }
  SDTORCH_AMX_BF16 static void end() { _tile_release(); }

  template <bool accumulate>
  SDTORCH_AMX_BF16 static void multiply(const Pair* a, int64_t a_stride, int64_t rows, const Pair* b, int64_t pairs,
                                        float* c) {
    constexpr int64_t row_bytes = product_columns * sizeof(float);
    for (int64_t row = 0; row < rows; row += row_step, a += row_step * a_stride, c += row_step * product_columns) {
      if constexpr (accumulate) {
        _tile_loadd(0, c, row_bytes);
        _tile_loadd(1, c + lanes, row_bytes);
        _tile_loadd(2, c + 2 * lanes, row_bytes);
        _tile_loadd(3, c + 3 * lanes, row_bytes);
      } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
      }
      for (int64_t pair = 0; pair < pairs; pair += pair_step) {
        const Pair* columns = b + pair * product_columns;
        _tile_loadd(4, a + pair, a_stride * static_cast<int64_t>(sizeof(Pair)));
        _tile_loadd(5, columns, row_bytes);
        _tile_loadd(6, columns + lanes, row_bytes);
        _tile_dpbf16ps(0, 4, 5);
        _tile_dpbf16ps(1, 4, 6);
        _tile_loadd(5, columns + 2 * lanes, row_bytes);
        _tile_loadd(6, columns + 3 * lanes, row_bytes);
        _tile_dpbf16ps(2, 4, 5);
        _tile_dpbf16ps(3, 4, 6);
      }
      _tile_stored(0, c, row_bytes);
      _tile_stored(1, c + lanes, row_bytes);
      _tile_stored(2, c + 2 * lanes, row_bytes);
      _tile_stored(3, c + 3 * lanes, row_bytes);
    }
  }
};

}  // namespace sdtorch::cpu
