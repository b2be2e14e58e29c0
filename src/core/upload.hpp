// Tensors' way from the CPU to a GPU.
#pragma once

#include <ATen/ATen.h>

namespace sdtorch {

/// The same tensor on a device, for small ones that come up while a picture is drawn: on a GPU without waiting for what
/// is queued there, as a plain copy would.
at::Tensor sent(const at::Tensor& tensor, at::Device device);

/// The same tensor on a GPU, for weights: through buffers in pinned memory, which the copy engine reads at the bus's
/// rate while the CPU fills the next one. The tensor may change or go as soon as this returns. Safe from several
/// threads.
at::Tensor uploaded(const at::Tensor& tensor, at::Device device);

}  // namespace sdtorch
