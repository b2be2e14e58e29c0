#include <fmt/format.h>
#include <webp/decode.h>

#include <string_view>

#include "io/exif.hpp"
#include "io/picture_formats.hpp"

namespace sdtorch {
namespace {

constexpr size_t chunk_header = 8;  // of RIFF: four letters and the length, little-endian

uint32_t riff_length(std::string_view header) {
  uint32_t value = 0;
  for (size_t i = 7; i >= 4; --i) value = value << 8 | static_cast<uint8_t>(header[i]);
  return value;
}

const char* webp_reason(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_NOT_ENOUGH_DATA:
      return "the picture is cut short";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return "a WebP feature that libwebp does not know";
    default:
      return "the picture is damaged";
  }
}

/// The file without what may follow it; checked against the length that it states.
std::string_view riff_of(const PictureFile& file) {
  const std::string_view bytes(reinterpret_cast<const char*>(file.bytes.data()), file.bytes.size());
  const size_t stated = chunk_header + riff_length(bytes);
  if (stated > bytes.size()) {
    file.fail(fmt::format("byte {}", bytes.size()),
              fmt::format("the file ends early: its header states {} bytes", stated));
  }
  return bytes.substr(0, stated);
}

int webp_orientation(std::string_view riff) {
  constexpr size_t first_chunk = 12;
  for (size_t at = first_chunk; at < riff.size() && riff.size() - at >= chunk_header;) {
    const std::string_view rest = riff.substr(at);
    const size_t length = riff_length(rest);
    if (length > rest.size() - chunk_header) return 1;
    if (rest.starts_with("EXIF")) return exif_orientation(std::as_bytes(std::span(rest.data() + chunk_header, length)));
    at += chunk_header + length + length % 2;
  }
  return 1;
}

}  // namespace

StoredPicture decode_webp(const PictureFile& file) {
  const std::string_view riff = riff_of(file);
  const auto* data = reinterpret_cast<const uint8_t*>(riff.data());
  WebPDecoderConfig config{};
  if (!WebPInitDecoderConfig(&config)) file.fail({}, "libwebp is of another version than its headers");
  const auto check = [&](VP8StatusCode status) {
    if (status == VP8_STATUS_OUT_OF_MEMORY) throw std::bad_alloc();
    if (status != VP8_STATUS_OK) file.fail({}, webp_reason(status));
  };
  check(WebPGetFeatures(data, riff.size(), &config.input));
  if (config.input.has_animation) file.fail({}, "is an animation, a still picture was expected");
  const int width = config.input.width, height = config.input.height;
  file.check_size(width, height);
  const int channels = config.input.has_alpha ? 4 : 3;
  std::vector<uint8_t> values(static_cast<size_t>(width) * static_cast<size_t>(height) * static_cast<size_t>(channels));
  config.output.colorspace = config.input.has_alpha ? MODE_RGBA : MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA = {.rgba = values.data(), .stride = width * channels, .size = values.size()};
  check(WebPDecode(data, riff.size(), &config));
  return {.picture = picture_of(std::move(values), width, height, channels), .orientation = webp_orientation(riff)};
}

}  // namespace sdtorch
