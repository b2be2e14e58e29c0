// The kernels' arithmetic, written once for GPU and CPU: tests hold it to float64 where no GPU is. fp32 throughout.
#pragma once

#include <cmath>

#ifdef __CUDACC__
#define SDTORCH_ON_BOTH __host__ __device__ __forceinline__
#else
#define SDTORCH_ON_BOTH inline
#endif

namespace sdtorch::cuda {

/// How many numbers there are, their mean, and the sum of their squared deviations from it.
struct Moments {
  float count = 0;
  float mean = 0;
  float squares = 0;
};

/// Of two sets together (Chan et al. 1979, "Updating formulae and a pairwise algorithm for computing sample variances",
/// eq. 2.1). No digits are lost where the means are large beside the deviations.
SDTORCH_ON_BOTH Moments merged(const Moments& a, const Moments& b) {
  const float count = a.count + b.count;
  if (count == 0) return a;
  const float apart = b.mean - a.mean, share = b.count / count;
  return {count, a.mean + apart * share, a.squares + b.squares + apart * apart * a.count * share};
}

/// Sums over a short stretch of numbers about the first of them. That one being of the stretch, its square is at most
/// the stretch's length times what is asked for: a stretch of n loses log2(n) bits at worst, whatever its mean.
struct Stretch {
  float first = 0;
  float sum = 0;
  float squares = 0;

  SDTORCH_ON_BOTH void begin(float value) {
    first = value;
    sum = squares = 0;
  }
  SDTORCH_ON_BOTH void add(float value) {
    const float apart = value - first;
    sum += apart;
    squares += apart * apart;
  }
  /// count: of the numbers since begin, that one included.
  SDTORCH_ON_BOTH Moments moments(float count) const {
    const float apart = sum / count, least = squares - sum * apart;
    return {count, first + apart, least < 0 ? 0 : least};
  }
};

/// The numbers that a stretch may have.
constexpr int longest_stretch = 32;

/// 1 / deviation, the variance being that of a population. NaN where the squares overflowed: a reciprocal of 0 would
/// make ordinary numbers of what is none.
SDTORCH_ON_BOTH float reciprocal_deviation(const Moments& all, float eps) {
  const float overflowed = all.squares - all.squares;  // 0, or NaN
  return 1 / std::sqrt(all.squares / all.count + eps) + overflowed;
}

/// (x - mean) scale + bias: the difference first, which loses nothing where x lies near a large mean.
SDTORCH_ON_BOTH float normalized(float x, float mean, float scale, float bias) { return (x - mean) * scale + bias; }

SDTORCH_ON_BOTH float silu(float x) { return x / (1 + std::exp(-x)); }

/// x Phi(x), exact.
SDTORCH_ON_BOTH float gelu(float x) {
  constexpr float root_of_half = 0.70710678118654752F;
  return x * 0.5F * (1 + std::erf(x * root_of_half));
}

/// How the numbers 0…total-1 are dealt out to `parts`: as evenly as blocks of one size allow.
SDTORCH_ON_BOTH int part_size(int total, int parts) { return (total + parts - 1) / parts; }

/// How many of `begin, begin + stride, …` lie below end.
SDTORCH_ON_BOTH int steps_until(int begin, int end, int stride) {
  return begin < end ? (end - begin + stride - 1) / stride : 0;
}

}  // namespace sdtorch::cuda
