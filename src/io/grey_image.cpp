#include "io/grey_image.hpp"

namespace sdtorch {

GreyImage to_grey(const Image& image) {
  constexpr uint32_t red = 19595, green = 38470, blue = 7471;  // in 65536ths, which they add up to
  constexpr uint32_t half = 0x8000;
  GreyImage grey{.width = image.width, .height = image.height, .pixels = std::vector<uint8_t>(image.pixels.size() / 3)};
  const uint8_t* rgb = image.pixels.data();
  for (uint8_t& value : grey.pixels) {
    value = static_cast<uint8_t>((rgb[0] * red + rgb[1] * green + rgb[2] * blue + half) >> 16);
    rgb += 3;
  }
  return grey;
}

Image to_rgb(const GreyImage& grey) {
  Image image{.width = grey.width, .height = grey.height};
  image.pixels.reserve(3 * grey.pixels.size());
  for (const uint8_t value : grey.pixels) image.pixels.insert(image.pixels.end(), 3, value);
  return image;
}

}  // namespace sdtorch
