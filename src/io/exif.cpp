#include "io/exif.hpp"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

namespace sdtorch {
namespace {

/// Numbers of a TIFF block in its own byte order; 0 beyond its end.
struct Tiff {
  std::string_view block{};
  bool little_endian = false;

  uint32_t number(size_t offset, size_t bytes) const {
    if (offset > block.size() || block.size() - offset < bytes) return 0;
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; ++i) {
      const size_t place = offset + (little_endian ? bytes - 1 - i : i);
      value = value << 8 | static_cast<uint8_t>(block[place]);
    }
    return value;
  }
};

template <int channels, class Picture>
Picture upright_picture(Picture picture, int orientation) {
  if (orientation < 2 || orientation > 8) return picture;
  // Of what is to be seen: rows are the file's columns, and they, or the columns, are counted from the far end.
  const bool swapped = orientation >= 5;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Picture seen{.width = picture.width, .height = picture.height};
  if (swapped) std::swap(seen.width, seen.height);
  seen.pixels.resize(picture.pixels.size());
  uint8_t* out = seen.pixels.data();
  for (int64_t y = 0; y < seen.height; ++y) {
    for (int64_t x = 0; x < seen.width; ++x, out += channels) {
      int64_t column = swapped ? y : x, row = swapped ? x : y;
      if (from_right) column = picture.width - 1 - column;
      if (from_bottom) row = picture.height - 1 - row;
      std::copy_n(picture.pixels.data() + (row * picture.width + column) * channels, channels, out);
    }
  }
  return seen;
}

}  // namespace

int exif_orientation(std::span<const std::byte> exif) {
  constexpr uint32_t orientation_tag = 274, short_type = 3;
  constexpr size_t entry_bytes = 12;
  constexpr std::string_view prefix("Exif\0\0", 6);
  Tiff tiff{.block = {reinterpret_cast<const char*>(exif.data()), exif.size()}};
  if (tiff.block.starts_with(prefix)) tiff.block.remove_prefix(prefix.size());
  tiff.little_endian = tiff.block.starts_with("II");
  if ((!tiff.little_endian && !tiff.block.starts_with("MM")) || tiff.number(2, 2) != 42) return 1;
  const size_t directory = tiff.number(4, 4);
  const size_t entries = tiff.number(directory, 2);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + i * entry_bytes;
    if (tiff.number(entry, 2) != orientation_tag || tiff.number(entry + 2, 2) != short_type) continue;
    const uint32_t orientation = tiff.number(entry + 8, 2);
    return orientation >= 1 && orientation <= 8 ? static_cast<int>(orientation) : 1;
  }
  return 1;
}

Image upright(Image image, int orientation) { return upright_picture<3>(std::move(image), orientation); }

GreyImage upright(GreyImage grey, int orientation) { return upright_picture<1>(std::move(grey), orientation); }

}  // namespace sdtorch
