// A picture of a run, drawn and not yet written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "sdtorch/pipeline.hpp"

namespace sdtorch {

struct DrawnPicture {
  Picture picture{};
  const ModelChoice* choice = nullptr;  ///< what drew it; lives as long as the run
  int64_t number = 0;                   ///< of the picture in the run
  double seconds = 0;                   ///< a batch's time shared evenly by its pictures
  std::vector<std::byte> png{};         ///< the file, where a worker has made it; the picture then has no pixels
};

}  // namespace sdtorch
