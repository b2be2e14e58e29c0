#include "pipeline/masked_area.hpp"

#include <algorithm>

#include "io/resize.hpp"

namespace sdtorch {
namespace {

/// From `begin` to `end`, along one axis.
struct Span {
  int64_t begin = 0, end = 0;

  int64_t length() const { return end - begin; }
};

/// Grown to `length` about its middle, then moved, and at last cut, to lie within 0…most.
Span grown(Span span, int64_t length, int64_t most) {
  const int64_t more = length - span.length();
  span.begin -= more / 2;
  span.end += more - more / 2;
  if (span.end >= most) {
    span.begin -= span.end - most;
    span.end = most;
  }
  if (span.begin < 0) {
    span.end -= span.begin;
    span.begin = 0;
  }
  return {.begin = span.begin, .end = std::min(span.end, most)};
}

template <typename Pixels>
std::vector<uint8_t> cut_pixels(const Pixels& from, const Region& region, int64_t channels) {
  std::vector<uint8_t> pixels;
  pixels.reserve(static_cast<size_t>(region.width() * region.height() * channels));
  for (int64_t y = region.top; y < region.bottom; ++y) {
    const auto row = from.pixels.begin() + (y * from.width + region.left) * channels;
    pixels.insert(pixels.end(), row, row + region.width() * channels);
  }
  return pixels;
}

}  // namespace

Region region_of(const GreyImage& mask, int64_t width, int64_t height, int64_t padding) {
  Region found{.left = mask.width, .top = mask.height};
  for (int64_t y = 0; y < mask.height; ++y) {
    for (int64_t x = 0; x < mask.width; ++x) {
      if (mask.pixels[static_cast<size_t>(y * mask.width + x)] == 0) continue;
      found = {.left = std::min(found.left, x),
               .top = std::min(found.top, y),
               .right = std::max(found.right, x + 1),
               .bottom = std::max(found.bottom, y + 1)};
    }
  }
  if (found.width() <= 0) return {.right = mask.width, .bottom = mask.height};
  Span across{std::max<int64_t>(found.left - padding, 0), std::min(found.right + padding, mask.width)};
  Span down{std::max<int64_t>(found.top - padding, 0), std::min(found.bottom + padding, mask.height)};
  const double wanted = static_cast<double>(width) / static_cast<double>(height);
  const double shape = static_cast<double>(across.length()) / static_cast<double>(down.length());
  if (shape > wanted) {
    down = grown(down, static_cast<int64_t>(static_cast<double>(across.length()) / wanted), mask.height);
  } else {
    across = grown(across, static_cast<int64_t>(static_cast<double>(down.length()) * wanted), mask.width);
  }
  return {.left = across.begin, .top = down.begin, .right = across.end, .bottom = down.end};
}

Image cut_out(const Image& picture, const Region& region) {
  return {.width = region.width(), .height = region.height(), .pixels = cut_pixels(picture, region, 3)};
}

GreyImage cut_out(const GreyImage& grey, const Region& region) {
  return {.width = region.width(), .height = region.height(), .pixels = cut_pixels(grey, region, 1)};
}

Image pasted(const Image& picture, const GreyImage& mask, const Region& region, const Image& drawn) {
  const Image part = fit(drawn, region.width(), region.height(), Fit::crop);
  Image whole = picture;
  for (int64_t y = region.top; y < region.bottom; ++y) {
    for (int64_t x = region.left; x < region.right; ++x) {
      const auto at = static_cast<size_t>(y * whole.width + x);
      const auto from = static_cast<size_t>((y - region.top) * part.width + (x - region.left)) * 3;
      const int weight = mask.pixels[at];
      for (size_t channel = 0; channel < 3; ++channel) {
        uint8_t& pixel = whole.pixels[at * 3 + channel];
        const int mixed = part.pixels[from + channel] * weight + pixel * (255 - weight);
        pixel = static_cast<uint8_t>((mixed + 127) / 255);
      }
    }
  }
  return whole;
}

}  // namespace sdtorch
