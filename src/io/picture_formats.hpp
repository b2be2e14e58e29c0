// The decoders behind read_picture, a file each.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/read_picture.hpp"

namespace sdtorch {

/// What a decoder is given.
struct PictureFile {
  std::span<const std::byte> bytes{};
  const std::string& name;
  const PictureLimits& limits;

  [[noreturn]] void fail(std::string place, std::string reason, std::string hint = {}) const;

  /// Throws where a side is 0 or the picture has too many pixels.
  void check_size(int64_t width, int64_t height) const;
};

/// A picture as it lies in the file.
struct StoredPicture {
  InputPicture picture{};
  int orientation = 1;  ///< of EXIF, 1…8
};

StoredPicture decode_png(const PictureFile& file);
StoredPicture decode_jpeg(const PictureFile& file);
StoredPicture decode_webp(const PictureFile& file);

/// Colours, and alpha if there is one, of interleaved values; channels: 1, grey; 3, RGB; 4, RGBA.
InputPicture picture_of(std::vector<uint8_t> values, int64_t width, int64_t height, int channels);

}  // namespace sdtorch
