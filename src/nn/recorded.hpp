// Whether gradients are wanted, which only LibTorch's own operations have.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

namespace sdtorch {

/// Whether autograd records what is done with the tensor: no kernel of our own may then stand in the way.
inline bool recorded(const at::Tensor& x) { return at::GradMode::is_enabled() && x.requires_grad(); }

}  // namespace sdtorch
