// Pictures one after another, as animated WebP.
#pragma once

#include <span>

#include "io/image.hpp"

namespace sdtorch {

/// A WebP file's bytes that plays the pictures over and over, each for frame_ms milliseconds, the last one for last_ms.
/// Throws ErrorKind::output where there are no pictures, they differ in size, or are larger than WebP's 16383 pixels.
Bytes encode_animation(std::span<const Image> pictures, int frame_ms, int last_ms);

}  // namespace sdtorch
