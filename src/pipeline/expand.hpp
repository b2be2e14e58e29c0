// Outpainting: a picture on a larger canvas, and a mask of what is new on it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "io/grey_image.hpp"
#include "sdtorch/image.hpp"
#include "sdtorch/request.hpp"

namespace sdtorch {

struct Canvas {
  Image picture{};
  GreyImage mask{};  ///< of its size; white is repainted
};

/// The picture in the middle of what is new: there each pixel has the colour of the picture's nearest one, and normal
/// noise on it, drawn for the whole canvas as torch.randn((1, 3, H, W)) by a generator of that seed, whose deviation is
/// the distance from the picture (the larger of those across and down), 64 at most of 255 levels.
Image grown(const Image& picture, const PixelMargins& by, uint64_t seed);

/// How a canvas' mask passes over to black within the picture.
struct Seam {
  int64_t feather = 0;  ///< pixels of the picture over which, from a side that has grown, white fades evenly
  double blur = 0;      ///< deviation of a Gaussian, before that: Request::mask_blur
};

/// White where the canvas is new, or where the picture's own mask is. width, height: of the picture, and of the mask.
GreyImage grown_mask(int64_t width, int64_t height, const PixelMargins& by, const GreyImage* own, const Seam& seam);

/// As Request::expand says, and where the whole canvas is to be drawn so many pixels more, which the warnings say, that
/// its sides are multiples of factor: at the right and the bottom, unless only the other side grows. The seam is
/// feathered over twice the factor, but not with Request::keep_unmasked, which keeps all of the picture.
/// mask: the request's own, of any size, not blurred.
/// Throws ErrorKind::usage naming --expand for more pixels than Request::max_pixels or longer sides than a picture has.
Canvas expanded(const Request& request, const Image& picture, const std::optional<GreyImage>& mask, int64_t factor,
                std::vector<std::string>& warnings);

}  // namespace sdtorch
