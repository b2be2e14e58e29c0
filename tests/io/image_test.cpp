#include "io/image.hpp"

#include "io/animation.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"

#include <webp/mux.h>
#define STB_IMAGE_IMPLEMENTATION
#define STBI_NO_STDIO
#define STBI_ONLY_PNG
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

using namespace sdtorch;

namespace {

Image gradient(int64_t width, int64_t height, int shift = 0) {
  Image image{.width = width, .height = height};
  for (int64_t i = 0; i < 3 * width * height; ++i) image.pixels.push_back(static_cast<uint8_t>(7 * i + shift));
  return image;
}

}  // namespace

TEST_CASE("a PNG decodes to the picture's own pixels", "[io]") {
  for (const auto& [width, height] : {std::pair{1, 1}, std::pair{7, 5}, std::pair{64, 96}}) {
    const Image image = gradient(width, height);
    const Bytes png = encode_png(image, {{"key", "text"}});
    const bool repeats = png == encode_png(image, {{"key", "text"}});
    CHECK(repeats);
    int w = 0, h = 0, channels = 0;
    uint8_t* pixels = stbi_load_from_memory(reinterpret_cast<const uint8_t*>(png.data()), static_cast<int>(png.size()),
                                            &w, &h, &channels, 0);
    REQUIRE(pixels);
    CHECK(w == width);
    CHECK(h == height);
    CHECK(channels == 3);
    CHECK(std::equal(image.pixels.begin(), image.pixels.end(), pixels));
    stbi_image_free(pixels);
  }
}

TEST_CASE("an animation plays every picture for its time", "[io]") {
  const std::vector<Image> pictures = {gradient(16, 8), gradient(16, 8, 90), gradient(16, 8, 180)};
  const Bytes webp = encode_animation(pictures, 100, 700);
  const WebPData data{reinterpret_cast<const uint8_t*>(webp.data()), webp.size()};
  WebPMux* file = WebPMuxCreate(&data, 0);
  REQUIRE(file);
  int width = 0, height = 0;
  CHECK(WebPMuxGetCanvasSize(file, &width, &height) == WEBP_MUX_OK);
  CHECK(width == 16);
  CHECK(height == 8);
  std::vector<int> durations;
  WebPMuxFrameInfo frame{};
  for (uint32_t i = 1; WebPMuxGetFrame(file, i, &frame) == WEBP_MUX_OK; ++i) {
    durations.push_back(frame.duration);
    WebPDataClear(&frame.bitstream);
  }
  CHECK(durations == std::vector<int>{100, 100, 700});
  WebPMuxDelete(file);
}

TEST_CASE("pictures that make no animation are refused", "[io]") {
  check_error(ErrorKind::output, "no pictures", [] { encode_animation({}, 1, 1); });
  const std::vector<Image> unequal = {gradient(4, 4), gradient(4, 5)};
  check_error(ErrorKind::output, "different sizes", [&] { encode_animation(unequal, 1, 1); });
  const std::vector<Image> wide = {gradient(16384, 1)};
  check_error(ErrorKind::output, "WebP's 16383", [&] { encode_animation(wide, 1, 1); });
}
