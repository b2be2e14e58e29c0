#include "io/blur.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"

namespace sdtorch {
namespace {

constexpr int box_passes = 3;
constexpr float most_blur = 10000;  // a row's sum of so wide a box still fits into 32 bits

/// Half the length of the box, its fraction included, whose three-fold blur has the Gaussian's variance ([7], [11] and
/// [14] of the paper). In single precision, as Pillow computes it: the fraction decides about bytes.
float box_radius(float sigma) {
  const float variance = sigma * sigma / box_passes;
  const auto length = static_cast<float>(std::sqrt(12.0 * static_cast<double>(variance) + 1.0));
  const auto whole = static_cast<float>(std::floor((static_cast<double>(length) - 1.0) / 2.0));
  float fraction = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance);
  fraction /= 6 * (variance - (whole + 1) * (whole + 1));
  return whole + fraction;
}

/// A box of 2·whole + 1 values of one weight and, at each end, one of a smaller weight, in 2⁻²⁴.
struct ExtendedBox {
  int64_t whole = 0;
  uint32_t inner = 0;
  uint32_t outer = 0;
};

ExtendedBox box_of(float radius) {
  constexpr uint32_t one = 1U << 24;
  ExtendedBox box{.whole = static_cast<int64_t>(radius)};
  box.inner = static_cast<uint32_t>(static_cast<float>(one) / (radius * 2 + 1));
  box.outer = (one - static_cast<uint32_t>(2 * box.whole + 1) * box.inner) / 2;
  return box;
}

/// One pass over a line of values that lie `stride` apart; `line` is a buffer of as many.
void blur_line(uint8_t* values, int64_t count, int64_t stride, const ExtendedBox& box, std::vector<uint8_t>& line) {
  constexpr uint32_t half = 1U << 23;
  for (int64_t i = 0; i < count; ++i) line[static_cast<size_t>(i)] = values[i * stride];
  const auto at = [&](int64_t i) -> uint32_t {
    return line[static_cast<size_t>(std::clamp<int64_t>(i, 0, count - 1))];
  };
  uint32_t sum = 0;  // of the values inside the box
  for (int64_t i = -box.whole; i <= box.whole; ++i) sum += at(i);
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t before = at(i - box.whole - 1), after = at(i + box.whole + 1);
    values[i * stride] = static_cast<uint8_t>((sum * box.inner + (before + after) * box.outer + half) >> 24);
    sum += after - at(i - box.whole);
  }
}

}  // namespace

GreyImage gaussian_blur(const GreyImage& grey, float radius) {
  if (!(radius >= 0 && radius <= most_blur)) throw Error(ErrorKind::bug, {.reason = "a blur's radius out of range"});
  GreyImage blurred = grey;
  if (radius == 0) return blurred;
  const ExtendedBox box = box_of(box_radius(radius));
  std::vector<uint8_t> line(static_cast<size_t>(std::max(grey.width, grey.height)));
  uint8_t* pixels = blurred.pixels.data();
  for (int64_t y = 0; y < grey.height; ++y) {
    for (int pass = 0; pass < box_passes; ++pass) blur_line(pixels + y * grey.width, grey.width, 1, box, line);
  }
  for (int64_t x = 0; x < grey.width; ++x) {
    for (int pass = 0; pass < box_passes; ++pass) blur_line(pixels + x, grey.height, grey.width, box, line);
  }
  return blurred;
}

}  // namespace sdtorch
