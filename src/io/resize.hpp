// Pictures of another size, as Pillow makes them: a difference of 1 here grows through a model.
#pragma once

#include "io/grey_image.hpp"

namespace sdtorch {

/// How a pixel of the result is weighed from the source's. All but nearest widen with the factor when they shrink a
/// picture, so that every source pixel counts.
enum class Resampling { nearest, box, bilinear, bicubic, lanczos };

/// Pillow 13's Image.resize((width, height), filter), byte for byte: the rows, then the columns, each by weights in 22
/// binary places, 8 bits between the two; the columns first where the height shrinks by more than twice as many pixels
/// as the width, which older versions did not do. width, height: at least 1, else ErrorKind::bug.
Image resize(const Image& image, int64_t width, int64_t height, Resampling filter = Resampling::lanczos);
GreyImage resize(const GreyImage& grey, int64_t width, int64_t height, Resampling filter = Resampling::lanczos);

/// What happens where the picture's shape is not the one that is wanted.
enum class Fit {
  stretch,  ///< each side is scaled for itself
  crop,     ///< the picture covers the size; what stands out is cut off, at both sides alike
  pad       ///< the picture lies in the middle; the rest continues its edges
};

/// The picture at another size. stretch, crop and pad give the bytes of diffusers' VaeImageProcessor.resize with its
/// modes default, crop and fill, in which each line beside the picture is the two outermost lines' bicubic
/// continuation, 9/8 of the outer and -1/8 of the inner one. Ours differ where an odd number of lines is missing, of
/// which diffusers may leave the last ones black, and where a side would round to 0 pixels, which diffusers cannot do.
Image fit(const Image& image, int64_t width, int64_t height, Fit how, Resampling filter = Resampling::lanczos);
GreyImage fit(const GreyImage& grey, int64_t width, int64_t height, Fit how, Resampling filter = Resampling::lanczos);

}  // namespace sdtorch
