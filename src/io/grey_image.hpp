// Pictures of one channel: masks, alpha, depth.
#pragma once

#include <cstdint>
#include <vector>

#include "sdtorch/image.hpp"

namespace sdtorch {

/// Row by row from the top, no padding between rows.
struct GreyImage {
  int64_t width = 0;              ///< pixels
  int64_t height = 0;             ///< pixels
  std::vector<uint8_t> pixels{};  ///< width·height values

  bool operator==(const GreyImage&) const = default;
};

/// The luma of ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B, rounded as Pillow's convert("L") does.
GreyImage to_grey(const Image& image);

/// The grey in all three channels.
Image to_rgb(const GreyImage& grey);

}  // namespace sdtorch
