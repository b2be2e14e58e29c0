// The blur that softens a mask's edge.
#pragma once

#include "io/grey_image.hpp"

namespace sdtorch {

/// Pillow's ImageFilter.GaussianBlur(radius), byte for byte: three extended box blurs along the rows, then three along
/// the columns (Gwosdek et al. 2011, "Theoretical Foundations of Gaussian Convolution by Extended Box Filtering"), 8
/// bits after each, the edge's values continued outwards.
/// radius: the standard deviation in pixels, 0 (no blur) … 10000, else ErrorKind::bug: flags are checked before.
GreyImage gaussian_blur(const GreyImage& grey, float radius);

}  // namespace sdtorch
