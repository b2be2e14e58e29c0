// A picture of a run, drawn and not yet written.
#pragma once

#include <cstdint>

#include "sdtorch/pipeline.hpp"

namespace sdtorch {

struct DrawnPicture {
  Picture picture{};
  const ModelChoice* choice = nullptr;  ///< what drew it; lives as long as the run
  int64_t number = 0;                   ///< of the picture in the run
  double seconds = 0;                   ///< a batch's time shared evenly by its pictures
};

}  // namespace sdtorch
