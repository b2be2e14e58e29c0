// Pictures of 8 bits a channel, and PNG.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "io/png_text.hpp"

namespace sdtorch {

/// RGB, row by row from the top, no padding between rows.
struct Image {
  int64_t width = 0;              ///< pixels
  int64_t height = 0;             ///< pixels
  std::vector<uint8_t> pixels{};  ///< 3·width·height values: red, green, blue of each pixel

  bool operator==(const Image&) const = default;
};

/// A PNG file's bytes, with the texts in it (see add_png_text). The same picture and texts give the same bytes.
/// Throws ErrorKind::output where the encoder fails.
Bytes encode_png(const Image& image, const std::vector<PngText>& texts = {});

}  // namespace sdtorch
