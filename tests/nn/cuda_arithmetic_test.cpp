// What the GPU's kernels compute with, against float64 on the CPU.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "nn/cuda/arithmetic.hpp"
#include "support/catch.hpp"

using namespace sdtorch;

namespace {

/// Moments as the kernel takes them: in stretches, merged pairwise in two levels.
cuda::Moments moments_of(const std::vector<float>& numbers, int chunk) {
  cuda::Moments all;
  const int count = static_cast<int>(numbers.size());
  for (int begin = 0; begin < count; begin += chunk) {
    const int end = std::min(count, begin + chunk);
    cuda::Moments part;
    for (int at = begin; at < end; at += cuda::longest_stretch) {
      const int until = std::min(end, at + cuda::longest_stretch);
      cuda::Stretch stretch;
      stretch.begin(numbers[static_cast<size_t>(at)]);
      for (int i = at + 1; i < until; ++i) stretch.add(numbers[static_cast<size_t>(i)]);
      part = cuda::merged(part, stretch.moments(static_cast<float>(until - at)));
    }
    all = cuda::merged(all, part);
  }
  return all;
}

struct Exact {
  double mean = 0, variance = 0;
};

Exact exact_moments(const std::vector<float>& numbers) {
  Exact exact;
  for (const float number : numbers) exact.mean += number;
  exact.mean /= static_cast<double>(numbers.size());
  for (const float number : numbers) exact.variance += (number - exact.mean) * (number - exact.mean);
  exact.variance /= static_cast<double>(numbers.size());
  return exact;
}

std::vector<float> normal_numbers(int64_t count, double mean) {
  const at::Tensor numbers = at::randn({count}, at::kDouble).add(mean).to(at::kFloat);
  return {numbers.const_data_ptr<float>(), numbers.const_data_ptr<float>() + count};
}

}  // namespace

TEST_CASE("a GPU norm's moments keep their digits whatever the mean and an outlier", "[nn]") {
  at::manual_seed(11);
  for (const double mean : {0.0, 3.0, -1000.0, 30000.0}) {
    for (const int64_t count : {1, 2, 31, 32, 33, 1000, 40007}) {
      for (const bool outlier : {false, true}) {
        std::vector<float> numbers = normal_numbers(count, mean);
        if (outlier) numbers.front() += 500;  // which the first stretch sums about
        INFO(mean << " " << count << " " << outlier);
        const Exact exact = exact_moments(numbers);
        const cuda::Moments said = moments_of(numbers, 257);
        CHECK(said.count == static_cast<float>(count));
        // What a norm divides by is the measure of what a mean may be off.
        CHECK(said.mean == Approx(exact.mean).epsilon(1e-6).margin(1e-6 + 2e-6 * std::sqrt(exact.variance)));
        CHECK(said.squares / said.count == Approx(exact.variance).epsilon(2e-5).margin(1e-6));
        const double deviation = std::sqrt(exact.variance + 1e-5);
        CHECK(cuda::reciprocal_deviation(said, 1e-5F) * deviation == Approx(1).epsilon(2e-5));
      }
    }
  }
}

TEST_CASE("a GPU norm makes no number of what has overflowed", "[nn]") {
  const cuda::Moments huge = moments_of({1e30F, -1e30F, 2, 3}, 4);
  CHECK(std::isnan(cuda::reciprocal_deviation(huge, 1e-5F)));
  const cuda::Moments none = moments_of({1, std::numeric_limits<float>::quiet_NaN(), 2}, 2);
  CHECK(std::isnan(cuda::reciprocal_deviation(none, 1e-5F)));
}

TEST_CASE("moments of nothing change none", "[nn]") {
  const cuda::Moments some{.count = 3, .mean = 2, .squares = 5}, none;
  for (const cuda::Moments& both : {cuda::merged(some, none), cuda::merged(none, some)}) {
    CHECK(both.count == 3);
    CHECK(both.mean == 2);
    CHECK(both.squares == 5);
  }
  CHECK(cuda::merged(none, none).count == 0);
}

TEST_CASE("a GPU's activations equal float64's", "[nn]") {
  for (double x = -30; x <= 30; x += 0.037) {
    const auto narrow = static_cast<float>(x);
    const double wide = narrow;
    INFO(x);
    CHECK(cuda::silu(narrow) == Approx(wide / (1 + std::exp(-wide))).epsilon(1e-6).margin(1e-12));
    // 1 + erf cancels to the left, as in every fp32 implementation: what is lost is of x's size times epsilon.
    CHECK(cuda::gelu(narrow) == Approx(wide * 0.5 * std::erfc(-wide / std::sqrt(2.0))).epsilon(1e-6).margin(1e-6));
  }
}

TEST_CASE("a picture's pixels are dealt out without a gap", "[nn]") {
  for (int total = 1; total < 200; ++total) {
    for (int parts = 1; parts <= total; ++parts) {
      const int size = cuda::part_size(total, parts), needed = cuda::part_size(total, size);
      CHECK(cuda::part_size(total, needed) * (needed - 1) < total);
      CHECK(cuda::part_size(total, needed) * needed >= total);
    }
    for (const int stride : {1, 2, 7}) {
      int steps = 0;
      for (int at = 3; at < total; at += stride) ++steps;
      CHECK(cuda::steps_until(3, total, stride) == steps);
    }
  }
}
