// Pictures as WebP, small enough to be embedded in a page.
#pragma once

#include "io/image.hpp"

namespace sdtorch {

/// A WebP file's bytes, lossy; quality: 0…100. The same picture and quality give the same bytes.
/// Throws ErrorKind::output where a side has more than WebP's 16383 pixels.
Bytes encode_webp(const Image& image, float quality);

}  // namespace sdtorch
