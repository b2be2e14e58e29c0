#include "io/resize.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>
#include <utility>

#include "core/error.hpp"

namespace sdtorch {
namespace {

using Values = std::vector<uint8_t>;

constexpr int weight_bits = 22;  // binary places of a weight: 8 bits of a value and 2 of headroom fill the 32

/// A function of the distance from a result's pixel, in source pixels, and where it becomes 0.
struct FilterCurve {
  double (*weight)(double distance);
  double reach;
};

double sinc(double x) {
  if (x == 0) return 1;
  const double angle = x * std::numbers::pi;
  return std::sin(angle) / angle;
}

double box_weight(double x) { return x > -0.5 && x <= 0.5 ? 1 : 0; }

double bilinear_weight(double x) { return std::max(1 - std::abs(x), 0.0); }

/// Keys 1981, equation (4), with a = -1/2.
double bicubic_weight(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

double lanczos_weight(double x) { return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0; }

FilterCurve curve_of(Resampling filter) {
  switch (filter) {
    case Resampling::box:
      return {box_weight, 0.5};
    case Resampling::bilinear:
      return {bilinear_weight, 1};
    case Resampling::bicubic:
      return {bicubic_weight, 2};
    case Resampling::lanczos:
      return {lanczos_weight, 3};
    case Resampling::nearest:
      break;
  }
  throw Error(ErrorKind::bug, {.reason = "a filter without a curve"});
}

/// What one pixel of the result is made of: consecutive source pixels and their weights.
struct Taps {
  int64_t first = 0;
  size_t begin = 0;  ///< of its weights
  int64_t count = 0;
};

struct Kernel {
  std::vector<Taps> taps{};
  std::vector<int32_t> weights{};
};

/// Weights that add up to 1, rounded half away from zero.
void append_fixed_point(std::vector<int32_t>& fixed, std::span<const double> weights, double sum) {
  for (const double weight : weights) {
    const double scaled = (sum != 0 ? weight / sum : weight) * (1 << weight_bits);
    fixed.push_back(static_cast<int32_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5));
  }
}

/// The scaling of one side, of which a part alone is computed.
struct Side {
  int64_t from = 0, to = 0;  ///< pixels of the whole
  int64_t first = 0, count = 0;

  bool changes() const { return from != to || count != to; }
};

Kernel kernel_of(Resampling filter, const Side& side) {
  const FilterCurve curve = curve_of(filter);
  const double scale = static_cast<double>(side.from) / static_cast<double>(side.to);
  const double widened = std::max(scale, 1.0), inverse = 1 / widened;
  const double reach = curve.reach * widened;
  Kernel kernel;
  std::vector<double> weights;
  for (int64_t i = side.first; i < side.first + side.count; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    // Both ends are cut towards zero, as Pillow cuts them.
    const int64_t first = std::max<int64_t>(static_cast<int64_t>(center - reach + 0.5), 0);
    const int64_t end = std::min(static_cast<int64_t>(center + reach + 0.5), side.from);
    double sum = 0;
    weights.clear();
    for (int64_t x = first; x < end; ++x) {
      weights.push_back(curve.weight((static_cast<double>(x) - center + 0.5) * inverse));
      sum += weights.back();
    }
    kernel.taps.push_back({.first = first, .begin = kernel.weights.size(), .count = end - first});
    append_fixed_point(kernel.weights, weights, sum);
  }
  return kernel;
}

/// A weighted sum as a byte; it starts at one half.
constexpr int32_t sum_start = 1 << (weight_bits - 1);
uint8_t rounded(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> weight_bits, 0, 255)); }

template <int channels>
Values resize_rows(const Values& source, int64_t width, int64_t height, const Kernel& kernel) {
  Values result(kernel.taps.size() * static_cast<size_t>(height * channels));
  uint8_t* out = result.data();
  for (int64_t y = 0; y < height; ++y) {
    for (const Taps& taps : kernel.taps) {
      const uint8_t* in = source.data() + (y * width + taps.first) * channels;
      int32_t sums[channels];
      std::fill_n(sums, channels, sum_start);
      for (int64_t i = 0; i < taps.count; ++i) {
        const int32_t weight = kernel.weights[taps.begin + static_cast<size_t>(i)];
        for (int c = 0; c < channels; ++c) sums[c] += *in++ * weight;
      }
      for (const int32_t sum : sums) *out++ = rounded(sum);
    }
  }
  return result;
}

/// row: the values of one.
Values resize_columns(const Values& source, int64_t row, const Kernel& kernel) {
  Values result(kernel.taps.size() * static_cast<size_t>(row));
  std::vector<int32_t> sums(static_cast<size_t>(row));
  uint8_t* out = result.data();
  for (const Taps& taps : kernel.taps) {
    std::fill(sums.begin(), sums.end(), sum_start);
    const uint8_t* in = source.data() + taps.first * row;
    for (int64_t i = 0; i < taps.count; ++i) {
      const int32_t weight = kernel.weights[taps.begin + static_cast<size_t>(i)];
      for (int32_t& sum : sums) sum += *in++ * weight;
    }
    for (const int32_t sum : sums) *out++ = rounded(sum);
  }
  return result;
}

/// For each pixel of the result the source's. Pillow adds up the steps, rounding errors and all.
std::vector<int64_t> nearest_of(const Side& side) {
  const double step = static_cast<double>(side.from) / static_cast<double>(side.to);
  std::vector<int64_t> nearest;
  double at = step * 0.5;
  for (int64_t i = 0; i < side.first + side.count; ++i, at += step) {
    if (i >= side.first) nearest.push_back(std::min(static_cast<int64_t>(at), side.from - 1));
  }
  return nearest;
}

template <int channels, class Picture>
Values nearest_values(const Picture& picture, const Side& across, const Side& down) {
  const std::vector<int64_t> columns = nearest_of(across);
  Values result;
  result.reserve(static_cast<size_t>(across.count * down.count * channels));
  for (const int64_t y : nearest_of(down)) {
    for (const int64_t x : columns) {
      const uint8_t* pixel = picture.pixels.data() + (y * picture.width + x) * channels;
      result.insert(result.end(), pixel, pixel + channels);
    }
  }
  return result;
}

/// Whether the columns come first: where the height shrinks by more than twice as many pixels as the width, a rule that
/// Pillow 13 brought.
bool columns_first(const Side& across, const Side& down) {
  return down.to < down.from && down.from - down.to > 2 * (across.from - across.to);
}

template <int channels, class Picture>
Picture resize_part(const Picture& picture, const Side& across, const Side& down, Resampling filter) {
  Picture result{.width = across.count, .height = down.count};
  if (filter == Resampling::nearest) {
    result.pixels = nearest_values<channels>(picture, across, down);
    return result;
  }
  Values values = picture.pixels;
  int64_t width = across.from, height = down.from;
  const auto scale_columns = [&] {
    if (down.changes()) values = resize_columns(values, width * channels, kernel_of(filter, down));
    height = down.count;
  };
  const auto scale_rows = [&] {
    if (across.changes()) values = resize_rows<channels>(values, width, height, kernel_of(filter, across));
    width = across.count;
  };
  if (columns_first(across, down)) {
    scale_columns();
    scale_rows();
  } else {
    scale_rows();
    scale_columns();
  }
  result.pixels = std::move(values);
  return result;
}

template <int channels, class Picture>
Picture resize_whole(const Picture& picture, int64_t width, int64_t height, Resampling filter) {
  return resize_part<channels>(picture, {.from = picture.width, .to = width, .count = width},
                               {.from = picture.height, .to = height, .count = height}, filter);
}

/// The line beyond an edge: a bicubic filter centred on the edge sees its two outermost lines alone.
uint8_t beyond(uint8_t outer, uint8_t inner) {
  constexpr int32_t eighth = 1 << (weight_bits - 3);
  return rounded(sum_start + 9 * eighth * outer - eighth * inner);
}

/// Fills the lines before `begin` and from `end` on with the continuation of those between. A canvas is `lines` lines;
/// `at(line, i)` is the i-th of a line's `length` values.
template <class At>
void continue_edges(int64_t lines, int64_t length, int64_t begin, int64_t end, const At& at) {
  const auto fill = [&](int64_t first, int64_t last, int64_t outer, int64_t inner) {
    for (int64_t line = first; line < last; ++line) {
      for (int64_t i = 0; i < length; ++i) at(line, i) = beyond(at(outer, i), at(inner, i));
    }
  };
  const int64_t second = end - begin > 1 ? 1 : 0;  // a single line continues itself
  fill(0, begin, begin, begin + second);
  fill(end, lines, end - 1, end - 1 - second);
}

/// Both sides scaled alike, so that the picture covers the size, or else lies inside it; at least a pixel each.
std::pair<Side, Side> scaled_alike(int64_t from_width, int64_t from_height, int64_t width, int64_t height,
                                   bool covering) {
  const double wanted = static_cast<double>(width) / static_cast<double>(height);
  const double shape = static_cast<double>(from_width) / static_cast<double>(from_height);
  const bool by_width = covering ? wanted > shape : wanted < shape;
  Side across{.from = from_width, .to = width}, down{.from = from_height, .to = height};
  if (by_width) {
    down.to = std::max<int64_t>(from_height * width / from_width, 1);
  } else {
    across.to = std::max<int64_t>(from_width * height / from_height, 1);
  }
  return {across, down};
}

/// Only the part that is seen is computed: the whole of a thin line that covers a square would fill the memory.
template <int channels, class Picture>
Picture cropped(const Picture& picture, int64_t width, int64_t height, Resampling filter) {
  auto [across, down] = scaled_alike(picture.width, picture.height, width, height, true);
  across.first = across.to / 2 - width / 2;
  across.count = width;
  down.first = down.to / 2 - height / 2;
  down.count = height;
  return resize_part<channels>(picture, across, down, filter);
}

template <int channels, class Picture>
Picture padded(const Picture& picture, int64_t width, int64_t height, Resampling filter) {
  const auto [across, down] = scaled_alike(picture.width, picture.height, width, height, false);
  const Picture scaled = resize_whole<channels>(picture, across.to, down.to, filter);
  const int64_t left = width / 2 - scaled.width / 2, top = height / 2 - scaled.height / 2;
  Picture canvas{.width = width, .height = height, .pixels = Values(static_cast<size_t>(width * height * channels))};
  const int64_t row = width * channels;
  for (int64_t y = 0; y < scaled.height; ++y) {
    std::copy_n(scaled.pixels.data() + y * scaled.width * channels, scaled.width * channels,
                canvas.pixels.data() + (top + y) * row + left * channels);
  }
  uint8_t* pixels = canvas.pixels.data();
  continue_edges(height, row, top, top + scaled.height,
                 [&](int64_t y, int64_t i) -> uint8_t& { return pixels[y * row + i]; });
  continue_edges(width, height * channels, left, left + scaled.width, [&](int64_t x, int64_t i) -> uint8_t& {
    return pixels[i / channels * row + x * channels + i % channels];
  });
  return canvas;
}

void check_sizes_of(int64_t from_width, int64_t from_height, int64_t width, int64_t height) {
  if (from_width < 1 || from_height < 1 || width < 1 || height < 1)
    throw Error(ErrorKind::bug, {.reason = "a picture without pixels cannot be resized"});
}

template <int channels, class Picture>
Picture resize_any(const Picture& picture, int64_t width, int64_t height, Resampling filter) {
  check_sizes_of(picture.width, picture.height, width, height);
  return resize_whole<channels>(picture, width, height, filter);
}

template <int channels, class Picture>
Picture fit_any(const Picture& picture, int64_t width, int64_t height, Fit how, Resampling filter) {
  check_sizes_of(picture.width, picture.height, width, height);
  if (how == Fit::crop) return cropped<channels>(picture, width, height, filter);
  if (how == Fit::pad) return padded<channels>(picture, width, height, filter);
  return resize_whole<channels>(picture, width, height, filter);
}

}  // namespace

Image resize(const Image& image, int64_t width, int64_t height, Resampling filter) {
  return resize_any<3>(image, width, height, filter);
}

GreyImage resize(const GreyImage& grey, int64_t width, int64_t height, Resampling filter) {
  return resize_any<1>(grey, width, height, filter);
}

Image fit(const Image& image, int64_t width, int64_t height, Fit how, Resampling filter) {
  return fit_any<3>(image, width, height, how, filter);
}

GreyImage fit(const GreyImage& grey, int64_t width, int64_t height, Fit how, Resampling filter) {
  return fit_any<1>(grey, width, height, how, filter);
}

}  // namespace sdtorch
