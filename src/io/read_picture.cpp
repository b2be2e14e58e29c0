#include "io/read_picture.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/error.hpp"
#include "io/exif.hpp"
#include "io/mapped_file.hpp"
#include "io/picture_formats.hpp"

namespace sdtorch {
namespace {

using namespace std::string_view_literals;

/// How files of a format begin: `magic` at `offset`.
struct Magic {
  size_t offset;
  std::string_view magic;
  std::string_view format;
};

constexpr std::array other_formats = {
    Magic{0, "GIF8"sv, "GIF"},
    Magic{0, "BM"sv, "BMP"},
    Magic{0, "II*\0"sv, "TIFF"},
    Magic{0, "MM\0*"sv, "TIFF"},
    Magic{0, "II+\0"sv, "TIFF"},
    Magic{0, "MM\0+"sv, "TIFF"},
    Magic{4, "ftypavi"sv, "AVIF"},
    Magic{4, "ftyphei"sv, "HEIC"},
    Magic{4, "ftyphev"sv, "HEIC"},
    Magic{4, "ftypmif1"sv, "HEIF"},
    Magic{4, "ftypmsf1"sv, "HEIF"},
    Magic{0, "\xff\x0a"sv, "JPEG XL"},
    Magic{4, "JXL \r\n\x87\n"sv, "JPEG XL"},
    Magic{4, "jP  \r\n\x87\n"sv, "JPEG 2000"},
    Magic{0, "\xff\x4f\xff\x51"sv, "JPEG 2000"},
    Magic{0, "8BPS"sv, "Photoshop"},
    Magic{0, "v/1\x01"sv, "OpenEXR"},
    Magic{0, "\0\0\x01\0"sv, "ICO"},
    Magic{0, "<svg"sv, "SVG"},
    Magic{0, "%PDF"sv, "PDF"},
};

[[noreturn]] void refuse_format(const PictureFile& file, std::string_view bytes) {
  if (bytes.empty()) file.fail({}, "is empty, a picture was expected");
  constexpr auto hint = "convert it to PNG, JPEG or WebP";
  for (const Magic& other : other_formats) {
    if (bytes.size() >= other.offset && bytes.substr(other.offset).starts_with(other.magic))
      file.fail({}, fmt::format("is {}, which is not supported", other.format), hint);
  }
  file.fail({}, "is no picture in PNG, JPEG or WebP");
}

StoredPicture decode(const PictureFile& file) {
  const std::string_view bytes(reinterpret_cast<const char*>(file.bytes.data()), file.bytes.size());
  if (bytes.starts_with("\x89PNG\r\n\x1a\n")) return decode_png(file);
  if (bytes.starts_with("\xff\xd8\xff")) return decode_jpeg(file);
  if (bytes.starts_with("RIFF") && bytes.size() >= 12 && bytes.substr(8, 4) == "WEBP") return decode_webp(file);
  refuse_format(file, bytes);
}

}  // namespace

void PictureFile::fail(std::string place, std::string reason, std::string hint) const {
  sdtorch::fail(ErrorKind::input, name, std::move(place), std::move(reason), std::move(hint));
}

void PictureFile::check_size(int64_t width, int64_t height) const {
  if (width < 1 || height < 1) fail({}, fmt::format("a picture of {}x{} pixels has none", width, height));
  if (height > limits.pixels / width) {
    fail({}, fmt::format("{}x{} pixels are more than the limit of {}", width, height, limits.pixels),
         "--max-pixels raises it");
  }
}

InputPicture picture_of(std::vector<uint8_t> values, int64_t width, int64_t height, int channels) {
  InputPicture picture{.image = {.width = width, .height = height}};
  std::vector<uint8_t>& pixels = picture.image.pixels;
  if (channels == 3) {
    pixels = std::move(values);
    return picture;
  }
  if (channels == 1) {
    picture.image = to_rgb({.width = width, .height = height, .pixels = std::move(values)});
    return picture;
  }
  picture.alpha = GreyImage{.width = width, .height = height};
  pixels.reserve(values.size() / 4 * 3);
  picture.alpha->pixels.reserve(values.size() / 4);
  for (auto pixel = values.begin(); pixel != values.end(); pixel += 4) {
    pixels.insert(pixels.end(), pixel, pixel + 3);
    picture.alpha->pixels.push_back(pixel[3]);
  }
  return picture;
}

InputPicture read_picture(std::span<const std::byte> file, const std::string& name, const PictureLimits& limits) {
  auto [picture, orientation] = decode({.bytes = file, .name = name, .limits = limits});
  picture.image = upright(std::move(picture.image), orientation);
  if (picture.alpha) picture.alpha = upright(std::move(*picture.alpha), orientation);
  return std::move(picture);
}

InputPicture read_picture(const std::filesystem::path& file, const PictureLimits& limits) {
  const MappedFile mapped(file, ErrorKind::input);
  return read_picture(mapped.bytes(), file.string(), limits);
}

Bytes read_stream(int descriptor, const std::string& name, const PictureLimits& limits) {
  Bytes bytes;
  std::array<std::byte, 1 << 16> buffer{};
  for (;;) {
    const ssize_t count = read(descriptor, buffer.data(), buffer.size());
    if (count == 0) return bytes;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(ErrorKind::input, name, {}, "cannot be read: " + std::generic_category().message(errno));
    bytes.insert(bytes.end(), buffer.begin(), buffer.begin() + count);
    if (static_cast<int64_t>(bytes.size()) > limits.stream_bytes)
      fail(ErrorKind::input, name, {}, fmt::format("is longer than {} bytes", limits.stream_bytes));
  }
}

Image compose_on_white(const InputPicture& picture) {
  Image composed = picture.image;
  if (!picture.alpha) return composed;
  uint8_t* value = composed.pixels.data();
  for (const uint32_t alpha : picture.alpha->pixels) {
    for (int channel = 0; channel < 3; ++channel, ++value)
      *value = static_cast<uint8_t>((*value * alpha + 255 * (255 - alpha) + 127) / 255);
  }
  return composed;
}

}  // namespace sdtorch
