#include "io/canny.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

namespace sdtorch {
namespace {

constexpr int64_t rgb_channels = 3;

struct Gradient {
  int dx = 0, dy = 0;
  int size() const { return std::abs(dx) + std::abs(dy); }
};

Gradient sobel(const Image& picture, int64_t x, int64_t y, int64_t channel) {
  const auto at = [&](int64_t column, int64_t row) -> int {
    const int64_t c = std::clamp<int64_t>(column, 0, picture.width - 1);
    const int64_t r = std::clamp<int64_t>(row, 0, picture.height - 1);
    return picture.pixels[static_cast<size_t>((r * picture.width + c) * rgb_channels + channel)];
  };
  const auto column = [&](int64_t c) { return at(c, y - 1) + 2 * at(c, y) + at(c, y + 1); };
  const auto row = [&](int64_t r) { return at(x - 1, r) + 2 * at(x, r) + at(x + 1, r); };
  return {.dx = column(x + 1) - column(x - 1), .dy = row(y + 1) - row(y - 1)};
}

/// Gradients with a border of zeros around them, so that every pixel has neighbours.
struct Gradients {
  int64_t width, height;
  std::vector<Gradient> values;

  size_t place(int64_t x, int64_t y) const { return static_cast<size_t>((y + 1) * (width + 2) + x + 1); }
  int size(int64_t x, int64_t y) const { return values[place(x, y)].size(); }
};

Gradients strongest_gradients(const Image& picture) {
  Gradients all{.width = picture.width, .height = picture.height, .values = {}};
  all.values.resize(static_cast<size_t>((picture.width + 2) * (picture.height + 2)));
  for (int64_t y = 0; y < picture.height; ++y) {
    for (int64_t x = 0; x < picture.width; ++x) {
      Gradient& strongest = all.values[all.place(x, y)];
      for (int64_t c = 0; c < rgb_channels; ++c) {
        const Gradient gradient = sobel(picture, x, y, c);
        if (c == 0 || gradient.size() > strongest.size()) strongest = gradient;
      }
    }
  }
  return all;
}

/// Whether no neighbour across the edge is stronger. The directions are four, parted at 22.5° and 67.5°; of two equal
/// neighbours in a row the left or upper one stands back, on slopes both do.
bool is_ridge(const Gradients& all, int64_t x, int64_t y) {
  constexpr int64_t tangent = 13573;  // of 22.5°, in 32768ths; that of 67.5° is larger by 2
  const auto [dx, dy] = all.values[all.place(x, y)];
  const int size = all.size(x, y);
  const int64_t across = std::abs(dx) * tangent, down = static_cast<int64_t>(std::abs(dy)) << 15;
  if (down < across) return size > all.size(x - 1, y) && size >= all.size(x + 1, y);
  if (down > across + (static_cast<int64_t>(std::abs(dx)) << 16)) {
    return size > all.size(x, y - 1) && size >= all.size(x, y + 1);
  }
  const int64_t side = (dx ^ dy) < 0 ? -1 : 1;
  return size > all.size(x - side, y - 1) && size > all.size(x + side, y + 1);
}

}  // namespace

GreyImage canny(const Image& picture, const CannyThresholds& thresholds) {
  const double low = std::floor(thresholds.low), high = std::floor(thresholds.high);
  const Gradients all = strongest_gradients(picture);
  GreyImage edges{.width = picture.width,
                  .height = picture.height,
                  .pixels = std::vector<uint8_t>(static_cast<size_t>(picture.width * picture.height))};
  std::vector<uint8_t> candidates(edges.pixels.size());
  std::vector<std::pair<int64_t, int64_t>> reached;
  const auto index = [&](int64_t x, int64_t y) { return static_cast<size_t>(y * picture.width + x); };
  const auto reach = [&](int64_t x, int64_t y) {
    if (x < 0 || y < 0 || x >= picture.width || y >= picture.height) return;
    if (!candidates[index(x, y)] || edges.pixels[index(x, y)]) return;
    edges.pixels[index(x, y)] = 255;
    reached.emplace_back(x, y);
  };
  for (int64_t y = 0; y < picture.height; ++y) {
    for (int64_t x = 0; x < picture.width; ++x) candidates[index(x, y)] = all.size(x, y) > low && is_ridge(all, x, y);
  }
  for (int64_t y = 0; y < picture.height; ++y) {
    for (int64_t x = 0; x < picture.width; ++x) {
      if (all.size(x, y) > high) reach(x, y);
    }
  }
  while (!reached.empty()) {
    const auto [x, y] = reached.back();
    reached.pop_back();
    for (const int64_t row : {y - 1, y, y + 1}) {
      for (const int64_t column : {x - 1, x, x + 1}) reach(column, row);
    }
  }
  return edges;
}

}  // namespace sdtorch
