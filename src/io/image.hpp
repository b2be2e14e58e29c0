// Pictures as PNG.
#pragma once

#include <vector>

#include "io/png_text.hpp"
#include "sdtorch/image.hpp"

namespace sdtorch {

/// A PNG file's bytes, with the texts in it (see add_png_text). The same picture and texts give the same bytes.
/// Throws ErrorKind::output where the encoder fails.
Bytes encode_png(const Image& image, const std::vector<PngText>& texts = {});

}  // namespace sdtorch
