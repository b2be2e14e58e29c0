#include "io/image.hpp"

#include <climits>

#include "core/error.hpp"

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_STATIC
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace sdtorch {
namespace {

constexpr int channels = 3;

void append(void* context, void* data, int size) {
  auto& bytes = *static_cast<Bytes*>(context);
  const auto* first = static_cast<const std::byte*>(data);
  bytes.insert(bytes.end(), first, first + size);
}

}  // namespace

Bytes encode_png(const Image& image, const std::vector<PngText>& texts) {
  // The encoder counts in int: three values a pixel, the filter bytes, one a row, and the packed stream must fit.
  constexpr int64_t most_values = INT_MAX / 2;
  const bool whole = image.width > 0 && image.height > 0 && image.width <= INT_MAX && image.height <= INT_MAX &&
                     static_cast<int64_t>(image.pixels.size()) / image.width / channels == image.height &&
                     static_cast<int64_t>(image.pixels.size()) % (image.width * channels) == 0;
  if (!whole) throw Error(ErrorKind::bug, {.reason = "a picture's pixels do not match its size"});
  const auto width = static_cast<int>(image.width);
  const auto height = static_cast<int>(image.height);
  Bytes png;
  const bool encodable = static_cast<int64_t>(image.pixels.size()) < most_values;
  if (!encodable ||
      !stbi_write_png_to_func(append, &png, width, height, channels, image.pixels.data(), width * channels)) {
    throw Error(ErrorKind::output, {.reason = "the picture is too large for the PNG encoder"});
  }
  return texts.empty() ? png : add_png_text(png, texts);
}

}  // namespace sdtorch
