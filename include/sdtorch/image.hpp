// Pictures of 8 bits a channel.
#pragma once

#include <cstdint>
#include <vector>

namespace sdtorch {

/// RGB, row by row from the top, no padding between rows.
struct Image {
  int64_t width = 0;              ///< pixels
  int64_t height = 0;             ///< pixels
  std::vector<uint8_t> pixels{};  ///< 3·width·height values: red, green, blue of each pixel

  bool operator==(const Image&) const = default;
};

}  // namespace sdtorch
