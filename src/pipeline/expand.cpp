#include "pipeline/expand.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "diffusion/noise.hpp"
#include "io/blur.hpp"
#include "io/resize.hpp"
#include "pipeline/settings.hpp"

namespace sdtorch {
namespace {

/// Along one axis: how far `at` lies before 0 or behind the last of `length`; 0 within.
int64_t outside(int64_t at, int64_t length) { return std::max<int64_t>({-at, at - (length - 1), 0}); }

/// Calls f(x, y) for each of the canvas' pixels in the picture's own coordinates, row by row.
template <typename F>
void for_each_pixel(int64_t width, int64_t height, const PixelMargins& by, F&& f) {
  for (int64_t y = -by.top; y < height + by.bottom; ++y) {
    for (int64_t x = -by.left; x < width + by.right; ++x) f(x, y);
  }
}

/// What is missing to a multiple goes where the picture grows already, or to the end.
void round_up(int64_t length, int64_t factor, int64_t& before, int64_t& after) {
  const int64_t past = (before + length + after) % factor;
  if (past == 0) return;
  (after == 0 && before > 0 ? before : after) += factor - past;
}

/// Even, rounded: 255 is all of it.
uint8_t faded(int64_t depth, int64_t feather) {
  return static_cast<uint8_t>((2 * 255 * (feather + 1 - depth) + feather + 1) / (2 * (feather + 1)));
}

/// How many pixels deep in the picture a place is, counted from 1 at the sides that have grown.
int64_t depth_of(int64_t x, int64_t y, int64_t width, int64_t height, const PixelMargins& by) {
  int64_t depth = std::max(width, height) + 1;
  if (by.left > 0) depth = std::min(depth, x + 1);
  if (by.top > 0) depth = std::min(depth, y + 1);
  if (by.right > 0) depth = std::min(depth, width - x);
  if (by.bottom > 0) depth = std::min(depth, height - y);
  return depth;
}

void check_canvas(const Request& request, int64_t width, int64_t height) {
  const std::string size = fmt::format("the canvas is {} by {} pixels", width, height);
  if (std::max(width, height) > largest_side) {
    refuse("--expand", fmt::format("{}, and a side may have {}", size, largest_side));
  }
  if (width * height > request.max_pixels) {
    refuse("--expand", fmt::format("{}, more than {} in all", size, request.max_pixels), "--max-pixels allows more");
  }
}

}  // namespace

Image grown(const Image& picture, const PixelMargins& by, uint64_t seed) {
  constexpr int64_t most_noise = 64;
  Image canvas{.width = picture.width + by.left + by.right, .height = picture.height + by.top + by.bottom};
  canvas.pixels.reserve(static_cast<size_t>(3 * canvas.width * canvas.height));
  const at::Tensor unit = Noise({seed}).draw({3, canvas.height, canvas.width});
  const float* const noise = unit.const_data_ptr<float>();
  const int64_t plane = canvas.width * canvas.height;
  int64_t at = 0;
  for_each_pixel(picture.width, picture.height, by, [&](int64_t x, int64_t y) {
    const int64_t near_x = std::clamp<int64_t>(x, 0, picture.width - 1);
    const int64_t near_y = std::clamp<int64_t>(y, 0, picture.height - 1);
    const auto away =
        static_cast<float>(std::min(std::max(outside(x, picture.width), outside(y, picture.height)), most_noise));
    for (int64_t channel = 0; channel < 3; ++channel) {
      const auto near = static_cast<size_t>(3 * (near_y * picture.width + near_x) + channel);
      const float noised = static_cast<float>(picture.pixels[near]) + away * noise[channel * plane + at];
      canvas.pixels.push_back(static_cast<uint8_t>(std::clamp(std::nearbyint(noised), 0.0F, 255.0F)));
    }
    ++at;
  });
  return canvas;
}

GreyImage grown_mask(int64_t width, int64_t height, const PixelMargins& by, const GreyImage* own, const Seam& seam) {
  const auto inside = [&](int64_t x, int64_t y) { return outside(x, width) == 0 && outside(y, height) == 0; };
  GreyImage mask{.width = width + by.left + by.right, .height = height + by.top + by.bottom};
  mask.pixels.reserve(static_cast<size_t>(mask.width * mask.height));
  for_each_pixel(width, height, by, [&](int64_t x, int64_t y) {
    const bool is_new = !inside(x, y);
    mask.pixels.push_back(is_new ? 255 : own ? own->pixels[static_cast<size_t>(y * width + x)] : 0);
  });
  if (seam.blur > 0) mask = gaussian_blur(mask, static_cast<float>(seam.blur));
  // What is new is not to be mixed with what was put there.
  auto pixel = mask.pixels.begin();
  for_each_pixel(width, height, by, [&](int64_t x, int64_t y) {
    const int64_t depth = inside(x, y) ? depth_of(x, y, width, height, by) : 0;
    if (depth <= seam.feather) *pixel = std::max(*pixel, faded(depth, seam.feather));
    ++pixel;
  });
  return mask;
}

Canvas expanded(const Request& request, const Image& picture, const std::optional<GreyImage>& mask, int64_t factor,
                std::vector<std::string>& warnings) {
  PixelMargins by = request.expand.value();
  if (request.inpaint_area == inpaint_area_names.front()) {
    round_up(picture.width, factor, by.left, by.right);
    round_up(picture.height, factor, by.top, by.bottom);
  }
  const int64_t width = picture.width + by.left + by.right, height = picture.height + by.top + by.bottom;
  check_canvas(request, width, height);
  if (by != *request.expand) {
    warnings.push_back(fmt::format("--expand {}: {} grows by {}, to {} by {} pixels, multiples of {}",
                                   to_string(*request.expand), request.init_img, to_string(by), width, height, factor));
  }
  std::optional<GreyImage> own = mask;
  if (own && (own->width != picture.width || own->height != picture.height)) {
    own = resize(*own, picture.width, picture.height);
  }
  const Seam seam{.feather = request.keep_unmasked ? 0 : 2 * factor, .blur = request.mask_blur};
  return {.picture = grown(picture, by, request.seed),
          .mask = grown_mask(picture.width, picture.height, by, own ? &*own : nullptr, seam)};
}

}  // namespace sdtorch
