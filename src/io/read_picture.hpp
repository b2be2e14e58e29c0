// Input pictures: PNG, JPEG and WebP files as pixels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "io/grey_image.hpp"
#include "io/png_text.hpp"

namespace sdtorch {

struct PictureLimits {
  int64_t pixels = 178'956'970;             ///< width · height; where Pillow, too, refuses a picture
  int64_t stream_bytes = int64_t{1} << 30;  ///< of a file that comes through a pipe
};

/// A picture as it is to be seen: its EXIF orientation is applied.
struct InputPicture {
  Image image{};                     ///< the colours as they are stored, under transparent pixels too
  std::optional<GreyImage> alpha{};  ///< of the same size, 0 is transparent; none where the file has no transparency
};

/// Reads a picture's bytes; name: of the file, for messages. Colours are those of Pillow's convert("RGB"), colour
/// profiles and gamma being ignored:
/// - PNG of every colour type and bit depth, interlaced or not, tRNS as alpha. Of 16 bits a channel the upper 8 count;
///   Pillow does the same but for grey, which it cuts off at 255: a depth map would be white.
/// - JPEG: baseline and progressive; grey, YCbCr, RGB, CMYK and YCCK, these two taken for inverted, as Adobe writes
/// them.
/// - WebP: lossy and lossless, with and without alpha; no animations.
/// A file that is cut short or damaged is refused, what could be decoded of it included.
/// Throws ErrorKind::input naming the file and where in it (row, byte) what is wrong: empty, of another format (which
/// is named if it is known), damaged, or of more pixels than the limit, which is checked before memory is asked for.
InputPicture read_picture(std::span<const std::byte> file, const std::string& name, const PictureLimits& limits = {});

/// The same of a regular file on disk.
InputPicture read_picture(const std::filesystem::path& file, const PictureLimits& limits = {});

/// Everything that comes from a file descriptor: 0 is standard input. name: for messages, "standard input".
/// Throws ErrorKind::input where that is more than the limit, or cannot be read.
Bytes read_stream(int descriptor, const std::string& name, const PictureLimits& limits = {});

/// The picture before a white background: each channel c·alpha + 255·(1 - alpha), rounded to the nearest.
Image compose_on_white(const InputPicture& picture);

}  // namespace sdtorch
