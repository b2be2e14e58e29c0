// What scripts/gpu_check compares, to find out what is best on a GPU. Not for users: SDTORCH_CUDA=NAME=VALUE,…, read
// once a process, unknown names and values are errors.
#pragma once

namespace sdtorch::cuda {

enum class AttentionKernel {
  flash,   ///< LibTorch's order: flash, memory-efficient, its own
  cudnn,   ///< where it takes the head size; half a second for the first call
  padded,  ///< flash with heads padded to 64 and 128
  efficient
};

struct Tuning {
  bool kernels = true;                                 ///< kernels=off: LibTorch's own in place of ours
  bool graphs = true;                                  ///< graphs=off: no network call is captured
  bool autotune = false;                               ///< autotune=on: cuDNN tries its convolutions at first sight
  bool matrix = true;                                  ///< matrix=off: 1×1 convolutions by cuDNN
  AttentionKernel attention = AttentionKernel::flash;  ///< attention=flash|cudnn|padded|efficient
};

/// Throws ErrorKind::usage for what it does not know.
const Tuning& tuning();

}  // namespace sdtorch::cuda
