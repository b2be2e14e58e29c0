// Repainting a part of a picture at the model's own size: cut out around the mask, drawn, pasted back.
#pragma once

#include <cstdint>

#include "io/grey_image.hpp"
#include "sdtorch/image.hpp"

namespace sdtorch {

/// A rectangle of pixels, right and bottom excluded.
struct Region {
  int64_t left = 0, top = 0, right = 0, bottom = 0;

  int64_t width() const { return right - left; }
  int64_t height() const { return bottom - top; }
  bool operator==(const Region&) const = default;
};

/// What of the mask is not black, `padding` pixels more on each side, grown towards the shape width : height as far as
/// the mask reaches: diffusers' get_crop_region, rounding included. The whole mask where all of it is black.
/// width, height: at least 1; padding: at least 0.
Region region_of(const GreyImage& mask, int64_t width, int64_t height, int64_t padding);

Image cut_out(const Image& picture, const Region& region);
GreyImage cut_out(const GreyImage& grey, const Region& region);

/// The picture with what was drawn of the region in its place, where the mask is white, and a mixture where it is grey:
/// diffusers' apply_overlay. drawn is scaled to cover the region. mask: of the picture's size.
Image pasted(const Image& picture, const GreyImage& mask, const Region& region, const Image& drawn);

}  // namespace sdtorch
