// Edges of a picture (Canny 1986), as lines one pixel wide.
#pragma once

#include "io/grey_image.hpp"

namespace sdtorch {

/// Of the gradient's size |dx| + |dy|, by 3×3 Sobel operators whose weights add up to 8: an edge starts above `high`
/// and goes on above `low`. Fractions are cut off.
struct CannyThresholds {
  double low = 100;
  double high = 200;
};

/// 255 on edges, 0 elsewhere: the bytes of OpenCV's Canny(picture, low, high). Of a pixel's three channels that with
/// the largest gradient counts, and the picture goes on beyond its border as it ends there.
GreyImage canny(const Image& picture, const CannyThresholds& thresholds);

}  // namespace sdtorch
