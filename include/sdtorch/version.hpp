// What this program is built from and what it runs on.
#pragma once

#include <string>

namespace sdtorch {

/// Several lines, none of them ended by a line break at the end of the text: sdtorch's version, LibTorch's version,
/// the CPU capability that LibTorch's kernels use here, and CUDA (not built in, or its version and how many devices).
std::string version_text();

}  // namespace sdtorch
