#include "nn/cpu/attention_kernel.hpp"

#include "core/instructions.hpp"

#if !defined(__x86_64__)

namespace sdtorch::cpu {

AttentionUnit best_attention_unit() { return AttentionUnit::none; }
bool blocked_attention_takes(const at::Tensor&, const at::Tensor&, const at::Tensor&, int64_t) { return false; }
at::Tensor blocked_attention(const at::Tensor& q, const at::Tensor&, const at::Tensor&, int64_t, AttentionUnit) {
  return q;
}

}  // namespace sdtorch::cpu

#else

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "nn/cpu/bf16_products.hpp"

namespace sdtorch::cpu {
namespace {

// A block of the work: 64 queries, side by side in four registers, against 64 keys. Its scores are computed transposed,
// [keys][queries], so that the softmax of a query stays in its lane: no sum across a register is needed, and two keys'
// weights, rounded and paired, are at once what the second product takes.
constexpr int64_t block_queries = product_columns, block_keys = 64;
constexpr int64_t max_head_size = 256;
constexpr float lowest = -std::numeric_limits<float>::infinity();

int64_t rounded_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

struct Shape {
  int64_t batch, heads, queries, keys, head_size;
  int64_t pairs;     ///< of channels, as the products take them: missing ones are zeros
  int64_t channels;  ///< of the output, likewise

  int64_t key_blocks() const { return (keys + block_keys - 1) / block_keys; }
  int64_t query_blocks() const { return (queries + block_queries - 1) / block_queries; }
  /// In pairs, of one block: keys lie [key][pair of channels], values [channel][pair of keys].
  int64_t key_block() const { return block_keys * pairs; }
  int64_t value_block() const { return channels * block_keys / 2; }
};

/// One head's rows of [B, L, C].
struct Rows {
  const uint16_t* data;
  int64_t stride;

  Rows(const at::Tensor& x, const Shape& s, int64_t head)
      : data(static_cast<const uint16_t*>(x.const_data_ptr()) + head / s.heads * x.stride(0) +
             head % s.heads * s.head_size),
        stride(x.stride(1)) {}
};

void pack_keys(const Rows& k, const Shape& s, Pair* packed) {
  const size_t bytes = static_cast<size_t>(s.head_size) * sizeof(uint16_t);
  std::fill(packed, packed + s.key_blocks() * s.key_block(), 0);
  for (int64_t key = 0; key < s.keys; ++key) std::memcpy(packed + key * s.pairs, k.data + key * k.stride, bytes);
}

void pack_values(const Rows& v, const Shape& s, Pair* packed) {
  std::fill(packed, packed + s.key_blocks() * s.value_block(), 0);
  for (int64_t key = 0; key < s.keys; ++key) {
    const uint16_t* row = v.data + key * v.stride;
    auto* to = reinterpret_cast<uint16_t*>(packed + key / block_keys * s.value_block()) + key % block_keys;
    for (int64_t channel = 0; channel < s.head_size; ++channel) to[channel * block_keys] = row[channel];
  }
}

/// From the first query on, [pair of channels][block_queries].
void pack_queries(const Rows& q, int64_t first, int64_t count, const Shape& s, Pair* packed) {
  std::fill(packed, packed + s.pairs * block_queries, 0);
  for (int64_t query = 0; query < count; ++query) {
    const uint16_t* row = q.data + (first + query) * q.stride;
    for (int64_t pair = 0; pair < s.head_size / 2; ++pair) {
      std::memcpy(packed + pair * block_queries + query, row + 2 * pair, sizeof(Pair));
    }
  }
}

/// What a thread works in.
struct Scratch {
  alignas(64) std::array<Pair, max_head_size / 2 * block_queries> queries;
  alignas(64) std::array<float, block_keys * block_queries> scores;
  alignas(64) std::array<Pair, block_keys / 2 * block_queries> weights;
  alignas(64) std::array<float, max_head_size * block_queries> mixed;  ///< values by weights, [channel][query]
  alignas(64) std::array<float, block_queries> highest;                ///< score so far, as a power of two
  alignas(64) std::array<float, block_queries> total;                  ///< of the weights so far
};

/// 2^x for x ≤ 0, to 3e-6 of itself: its coefficients make the relative error on [0, 1) the least; 0 below 2^-149.
SDTORCH_AVX512_BF16 inline __m512 power_of_two(__m512 x) {
  const __m512 fraction = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF);
  __m512 y = _mm512_set1_ps(0.0135341679F);
  y = _mm512_fmadd_ps(y, fraction, _mm512_set1_ps(0.0520114608F));
  y = _mm512_fmadd_ps(y, fraction, _mm512_set1_ps(0.241442757F));
  y = _mm512_fmadd_ps(y, fraction, _mm512_set1_ps(0.693003835F));
  y = _mm512_fmadd_ps(y, fraction, _mm512_set1_ps(1.00000259F));
  return _mm512_scalef_ps(y, x);
}

/// Of one register of queries: scores → weights, in pairs of keys. Where a query's highest score has grown, what was
/// summed before counts less.
SDTORCH_AVX512_BF16 void soften(Scratch& s, int64_t lane, int64_t channels, int64_t keys, float scale, bool first) {
  const __m512 scales = _mm512_set1_ps(scale);
  const float* scores = s.scores.data() + lane;
  __m512 top = _mm512_set1_ps(lowest), other_top = top;
  for (int64_t key = 0; key + 1 < keys; key += 2) {
    top = _mm512_max_ps(top, _mm512_load_ps(scores + key * block_queries));
    other_top = _mm512_max_ps(other_top, _mm512_load_ps(scores + (key + 1) * block_queries));
  }
  if (keys % 2 == 1) top = _mm512_max_ps(top, _mm512_load_ps(scores + (keys - 1) * block_queries));
  __m512 highest = _mm512_mul_ps(_mm512_max_ps(top, other_top), scales);
  __m512 total = _mm512_setzero_ps(), other_total = total;
  if (!first) {
    const __m512 before = _mm512_load_ps(s.highest.data() + lane);
    highest = _mm512_max_ps(highest, before);
    total = _mm512_load_ps(s.total.data() + lane);
    if (_mm512_cmp_ps_mask(highest, before, _CMP_GT_OQ) != 0) {
      const __m512 less = power_of_two(_mm512_sub_ps(before, highest));
      total = _mm512_mul_ps(total, less);
      for (int64_t channel = 0; channel < channels; ++channel) {
        float* sum = s.mixed.data() + channel * block_queries + lane;
        _mm512_store_ps(sum, _mm512_mul_ps(_mm512_load_ps(sum), less));
      }
    }
  }
  _mm512_store_ps(s.highest.data() + lane, highest);

  // Two keys' registers become one of pairs: 0 and 16, 1 and 17, …
  const __m512i in_pairs = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                            21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  Pair* weights = s.weights.data() + lane;
  const auto store_pair = [&](int64_t key, __m512 even, __m512 odd) SDTORCH_AVX512_BF16 {
    const auto both = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(odd, even));
    _mm512_store_si512(weights + key / 2 * block_queries, _mm512_permutexvar_epi16(in_pairs, both));
  };
  const auto weight_of = [&](int64_t key) SDTORCH_AVX512_BF16 {
    return power_of_two(_mm512_fmsub_ps(_mm512_load_ps(scores + key * block_queries), scales, highest));
  };
  int64_t key = 0;
  for (; key + 1 < keys; key += 2) {
    const __m512 even = weight_of(key), odd = weight_of(key + 1);
    total = _mm512_add_ps(total, even);
    other_total = _mm512_add_ps(other_total, odd);
    store_pair(key, even, odd);
  }
  if (key < keys) {
    const __m512 last = weight_of(key);
    total = _mm512_add_ps(total, last);
    store_pair(key, last, _mm512_setzero_ps());
    key += 2;
  }
  for (; key < block_keys; key += 2) store_pair(key, _mm512_setzero_ps(), _mm512_setzero_ps());
  _mm512_store_ps(s.total.data() + lane, _mm512_add_ps(total, other_total));
}

/// The sums by the weights' total, rounded: [channel][query] → rows of the output.
void write_rows(const Scratch& s, int64_t count, int64_t head_size, c10::BFloat16* out, int64_t stride) {
  std::array<float, block_queries> share;
  for (size_t query = 0; query < share.size(); ++query) share[query] = 1 / s.total[query];
  for (int64_t query = 0; query < count; ++query) {
    const float of_this = share[static_cast<size_t>(query)];
    const float* column = s.mixed.data() + query;
    for (int64_t channel = 0; channel < head_size; ++channel) {
      out[query * stride + channel] = c10::BFloat16(column[channel * block_queries] * of_this);
    }
  }
}

template <class Products>
at::Tensor blocked(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t heads) {
  const int64_t head_size = q.size(2) / heads;
  const Shape s{.batch = q.size(0),
                .heads = heads,
                .queries = q.size(1),
                .keys = k.size(1),
                .head_size = head_size,
                .pairs = rounded_up(head_size / 2, Products::pair_step),
                .channels = rounded_up(head_size, Products::row_step)};
  const int64_t all_heads = s.batch * heads, packed_head = s.key_blocks() * (s.key_block() + s.value_block());
  const at::Tensor packed = at::empty({all_heads * packed_head}, q.options().dtype(at::kInt));
  auto* const packed_heads = static_cast<Pair*>(packed.mutable_data_ptr());
  at::parallel_for(0, all_heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t head = begin; head < end; ++head) {
      Pair* keys = packed_heads + head * packed_head;
      pack_keys(Rows(k, s, head), s, keys);
      pack_values(Rows(v, s, head), s, keys + s.key_blocks() * s.key_block());
    }
  });

  const at::Tensor out = at::empty(q.sizes(), q.options());
  auto* const out_rows = static_cast<c10::BFloat16*>(out.mutable_data_ptr());
  const float scale = static_cast<float>(1 / (std::sqrt(static_cast<double>(head_size)) * std::log(2.0)));
  at::parallel_for(0, all_heads * s.query_blocks(), 1, [&](int64_t begin, int64_t end) {
    const auto scratch = std::make_unique_for_overwrite<Scratch>();
    Products::begin();
    for (int64_t task = begin; task < end; ++task) {
      const int64_t head = task / s.query_blocks(), query = task % s.query_blocks() * block_queries;
      const int64_t count = std::min(block_queries, s.queries - query);
      pack_queries(Rows(q, s, head), query, count, s, scratch->queries.data());
      const Pair* keys = packed_heads + head * packed_head;
      const Pair* values = keys + s.key_blocks() * s.key_block();
      for (int64_t block = 0; block < s.key_blocks(); ++block) {
        const bool first = block == 0;
        const int64_t own_keys = std::min(block_keys, s.keys - block * block_keys);
        Products::template multiply<false>(keys + block * s.key_block(), s.pairs,
                                           rounded_up(own_keys, Products::row_step), scratch->queries.data(), s.pairs,
                                           scratch->scores.data());
        for (int64_t lane = 0; lane < block_queries; lane += lanes) {
          soften(*scratch, lane, s.channels, own_keys, scale, first);
        }
        auto* const mix = first ? Products::template multiply<false> : Products::template multiply<true>;
        mix(values + block * s.value_block(), block_keys / 2, s.channels, scratch->weights.data(),
            rounded_up((own_keys + 1) / 2, Products::pair_step), scratch->mixed.data());
      }
      write_rows(*scratch, count, head_size,
                 out_rows + (head / heads * s.queries + query) * out.size(2) + head % heads * head_size, out.size(2));
    }
    Products::end();
  });
  return out;
}

}  // namespace

AttentionUnit best_attention_unit() {
  if (has_amx_bf16()) return AttentionUnit::amx_bf16;
  return has_avx512_bf16() ? AttentionUnit::avx512_bf16 : AttentionUnit::none;
}

bool blocked_attention_takes(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t heads) {
  for (const at::Tensor& x : {q, k, v}) {
    if (!x.is_cpu() || x.scalar_type() != at::kBFloat16 || x.dim() != 3 || x.stride(2) != 1) return false;
  }
  const int64_t head_size = q.size(2) / heads;
  return head_size % 2 == 0 && head_size <= max_head_size && q.size(1) > 0 && k.size(1) > 0;
}

at::Tensor blocked_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t heads,
                             AttentionUnit unit) {
  return unit == AttentionUnit::amx_bf16 ? blocked<AmxProducts>(q, k, v, heads)
                                         : blocked<Avx512Products>(q, k, v, heads);
}

}  // namespace sdtorch::cpu

#endif
