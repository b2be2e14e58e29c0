#include "io/animation.hpp"

#include <fmt/format.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include "core/error.hpp"

namespace sdtorch {
namespace {

constexpr float quality = 90;  // of WebP's lossy coder, 0…100

/// A picture in the encoder's own form, freed with its scope.
struct Frame {
  explicit Frame(const Image& image) {
    if (!WebPPictureInit(&picture))
      fail(ErrorKind::output, {}, "animation", "libwebp is of another version than its headers");
    picture.use_argb = 1;
    picture.width = static_cast<int>(image.width);
    picture.height = static_cast<int>(image.height);
    if (!WebPPictureImportRGB(&picture, image.pixels.data(), 3 * picture.width)) throw std::bad_alloc();
  }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;
  ~Frame() { WebPPictureFree(&picture); }

  WebPPicture picture{};
};

/// libwebp's encoder, freed with its scope.
struct Encoder {
  Encoder(int width, int height) : anim(WebPAnimEncoderNew(width, height, nullptr)) {
    if (!anim) throw std::bad_alloc();
  }
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;
  ~Encoder() { WebPAnimEncoderDelete(anim); }

  void check(bool done) const {
    if (!done) fail(ErrorKind::output, {}, "animation", WebPAnimEncoderGetError(anim));
  }

  WebPAnimEncoder* anim;
};

void check_sizes(std::span<const Image> pictures) {
  if (pictures.empty()) fail(ErrorKind::output, {}, "animation", "no pictures");
  for (const Image& image : pictures) {
    if (image.width != pictures[0].width || image.height != pictures[0].height)
      fail(ErrorKind::output, {}, "animation", "pictures of different sizes");
    if (image.width > WEBP_MAX_DIMENSION || image.height > WEBP_MAX_DIMENSION) {
      fail(ErrorKind::output, {}, "animation",
           fmt::format("{}x{} pixels are more than WebP's {} a side", image.width, image.height, WEBP_MAX_DIMENSION));
    }
  }
}

}  // namespace

Bytes encode_animation(std::span<const Image> pictures, int frame_ms, int last_ms) {
  check_sizes(pictures);
  WebPConfig config{};
  if (!WebPConfigPreset(&config, WEBP_PRESET_PICTURE, quality))
    fail(ErrorKind::output, {}, "animation", "libwebp is of another version than its headers");
  const Encoder encoder(static_cast<int>(pictures[0].width), static_cast<int>(pictures[0].height));
  int start_ms = 0;
  for (const Image& image : pictures) {
    Frame frame(image);
    encoder.check(WebPAnimEncoderAdd(encoder.anim, &frame.picture, start_ms, &config));
    start_ms += frame_ms;
  }
  encoder.check(WebPAnimEncoderAdd(encoder.anim, nullptr, start_ms - frame_ms + last_ms, nullptr));
  WebPData data{};
  encoder.check(WebPAnimEncoderAssemble(encoder.anim, &data));
  const auto* first = reinterpret_cast<const std::byte*>(data.bytes);
  Bytes bytes(first, first + data.size);
  WebPDataClear(&data);
  return bytes;
}

}  // namespace sdtorch
