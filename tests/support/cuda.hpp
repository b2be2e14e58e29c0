// For tests tagged [cuda], which run on a GPU where there is one.
#pragma once

#include <ATen/Context.h>

#include "support/catch.hpp"

/// Whether there is no GPU to test on; says so, which ctest's entry `cuda` takes for skipped.
/// In the first line of a test: `if (no_cuda_device()) return;`
inline bool no_cuda_device() {
  if (at::hasCUDA()) return false;
  WARN("skipped: no CUDA device");
  return true;
}
