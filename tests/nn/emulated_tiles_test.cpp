// The attention kernel for matrix units (AMX), on CPUs that have none: its source is compiled once more, here, in a
// namespace of its own, with tile instructions that are computed as Intel's manual describes them, but for the order of
// sums (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, TILELOADD and TDPBF16PS).
#if defined(__x86_64__)

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <stdexcept>

#include "core/instructions.hpp"
#include "support/catch.hpp"
#include "support/exact_attention.hpp"
#include "support/tolerance.hpp"

namespace sdtorch {
namespace {

/// A thread's eight tiles of up to 16 rows of 64 bytes.
struct Tiles {
  struct Configuration {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  };
  static_assert(sizeof(Configuration) == 64);
  using Tile = std::array<std::array<uint8_t, 64>, 16>;

  Configuration configuration{};
  std::array<Tile, 8> tiles{};
  int64_t products = 0;  ///< that were computed

  void configure(const void* from) {
    std::memcpy(&configuration, from, sizeof configuration);
    if (configuration.palette != 1 || configuration.start_row != 0) throw std::logic_error("no configuration");
    for (size_t i = 0; i < 16; ++i) {
      const bool is_tile = i < tiles.size();
      if (configuration.rows[i] > (is_tile ? 16 : 0) || configuration.row_bytes[i] > (is_tile ? 64 : 0)) {
        throw std::logic_error("no tile of such a size");
      }
    }
  }
  void release() { configuration = {}; }

  Tile& tile(size_t number) {
    if (configuration.palette != 1 || configuration.rows[number] == 0) throw std::logic_error("no such tile");
    return tiles[number];
  }
  void zero(size_t number) { tile(number) = {}; }
  void load(size_t number, const void* from, int64_t stride) {
    Tile& to = tile(number);
    to = {};
    for (size_t row = 0; row < configuration.rows[number]; ++row) {
      std::memcpy(to[row].data(), static_cast<const uint8_t*>(from) + static_cast<int64_t>(row) * stride,
                  configuration.row_bytes[number]);
    }
  }
  void store(size_t number, void* to, int64_t stride) {
    const Tile& from = tile(number);
    for (size_t row = 0; row < configuration.rows[number]; ++row) {
      std::memcpy(static_cast<uint8_t*>(to) + static_cast<int64_t>(row) * stride, from[row].data(),
                  configuration.row_bytes[number]);
    }
  }

  static float number(const Tile& tile, size_t row, size_t place) {
    uint16_t half = 0;
    std::memcpy(&half, tile[row].data() + 2 * place, sizeof half);
    const uint32_t bits = static_cast<uint32_t>(half) << 16;
    float value = 0;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }

  /// sum[m][n] += a[m][2k] b[k][2n] + a[m][2k + 1] b[k][2n + 1]
  void multiply(size_t sum, size_t a, size_t b) {
    ++products;
    Tile& sums = tile(sum);
    const size_t pairs = configuration.row_bytes[a] / 4;
    if (pairs != configuration.rows[b] || configuration.rows[a] != configuration.rows[sum] ||
        configuration.row_bytes[b] != configuration.row_bytes[sum]) {
      throw std::logic_error("the tiles do not fit one another");
    }
    for (size_t m = 0; m < configuration.rows[sum]; ++m) {
      for (size_t n = 0; n < configuration.row_bytes[sum] / 4U; ++n) {
        float total = 0;
        std::memcpy(&total, sums[m].data() + 4 * n, sizeof total);
        for (size_t k = 0; k < pairs; ++k) {
          for (size_t half = 0; half < 2; ++half) {
            total += number(tile(a), m, 2 * k + half) * number(tile(b), k, 2 * n + half);
          }
        }
        std::memcpy(sums[m].data() + 4 * n, &total, sizeof total);
      }
    }
  }
};

Tiles& tiles_of_thread() {
  thread_local Tiles tiles;
  return tiles;
}

}  // namespace
}  // namespace sdtorch

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#define _tile_loadconfig(from) tiles_of_thread().configure(from)
#define _tile_release() tiles_of_thread().release()
#define _tile_zero(tile) tiles_of_thread().zero(tile)
#define _tile_loadd(tile, from, stride) tiles_of_thread().load(tile, from, stride)
#define _tile_stored(tile, to, stride) tiles_of_thread().store(tile, to, stride)
#define _tile_dpbf16ps(sum, a, b) tiles_of_thread().multiply(sum, a, b)

#define cpu with_emulated_tiles
#include "nn/cpu/attention_kernel.cpp"
#undef cpu

namespace sdtorch {

TEST_CASE("attention by a matrix unit's tiles is exact attention but for bf16's rounding", "[nn]") {
  if (!has_avx512_bf16()) return;  // its softmax is written in these
  at::manual_seed(21);
  struct Case {
    int64_t batch, heads, queries, keys, head_size;
  };
  for (const Case& c : {Case{1, 1, 1, 1, 2}, Case{2, 3, 65, 77, 40}, Case{1, 2, 64, 64, 64}, Case{2, 2, 130, 129, 80},
                        Case{1, 1, 3, 200, 160}, Case{1, 2, 100, 63, 6}, Case{1, 1, 70, 1000, 256},
                        Case{1, 1, 33, 2, 18}, Case{1, 2, 17, 95, 34}}) {
    INFO(c.queries << " queries, " << c.keys << " keys, heads of " << c.head_size);
    const auto random = [&](int64_t length) {
      return at::randn({c.batch, length, c.heads * c.head_size}).to(at::kBFloat16);
    };
    const at::Tensor q = random(c.queries), k = random(c.keys), v = random(c.keys);
    const int64_t before = tiles_of_thread().products;
    const at::Tensor mixed =
        with_emulated_tiles::blocked_attention(q, k, v, c.heads, with_emulated_tiles::AttentionUnit::amx_bf16);
    CHECK((at::get_num_threads() > 1 || tiles_of_thread().products > before));
    CHECK(tiles_of_thread().configuration.palette == 0);  // the unit is given back
    const at::Tensor reference = exact_attention(q, k, v, c.heads);
    CHECK(((mixed.to(at::kDouble) - reference).norm() / reference.norm()).item<double>() < tolerance::bf16_rounding);
  }
}

}  // namespace sdtorch

#endif
