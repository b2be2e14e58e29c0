// The one thing that EXIF says about how a picture is to be seen.
#pragma once

#include <cstddef>
#include <span>

#include "io/grey_image.hpp"

namespace sdtorch {

/// The orientation 1…8 (EXIF 2.32, tag 274 of the first directory) of a TIFF block, as PNG's eXIf, WebP's EXIF and,
/// behind "Exif\0\0", JPEG's APP1 hold it; with or without that prefix. 1, upright, where there is none, and where the
/// block is damaged: EXIF is no part of the picture, and cameras write it badly.
int exif_orientation(std::span<const std::byte> exif);

/// The picture as it is to be seen; orientation: 1…8.
Image upright(Image image, int orientation);
GreyImage upright(GreyImage grey, int orientation);

}  // namespace sdtorch
