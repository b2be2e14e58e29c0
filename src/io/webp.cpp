#include "io/webp.hpp"

#include <fmt/format.h>
#include <webp/encode.h>

#include "core/error.hpp"

namespace sdtorch {

Bytes encode_webp(const Image& image, float quality) {
  uint8_t* data = nullptr;
  const auto width = static_cast<int>(image.width);
  const size_t size =
      WebPEncodeRGB(image.pixels.data(), width, static_cast<int>(image.height), 3 * width, quality, &data);
  if (size == 0) {
    fail(ErrorKind::output, {}, "WebP", fmt::format("{}x{} pixels cannot be encoded", image.width, image.height));
  }
  const auto* first = reinterpret_cast<const std::byte*>(data);
  Bytes bytes(first, first + size);
  WebPFree(data);
  return bytes;
}

}  // namespace sdtorch
