// The activation functions that model configs name.
#pragma once

#include <ATen/ATen.h>

namespace sdtorch {

enum class Activation {
  silu,        ///< x sigmoid(x) (Hendrycks & Gimpel 2016; Elfwing et al. 2017)
  gelu,        ///< x Phi(x), exact (Hendrycks & Gimpel 2016)
  gelu_tanh,   ///< its tanh approximation
  quick_gelu,  ///< x sigmoid(1.702 x), as CLIP was trained with
  mish,        ///< x tanh(softplus(x)) (Misra 2019)
  relu
};

/// Any shape and type, elementwise.
at::Tensor activate(const at::Tensor& x, Activation activation);

/// The same for a tensor that nobody else holds: in place where autograd does not record.
at::Tensor activate(at::Tensor&& x, Activation activation);

/// x: […, 2 width] → […, width]: its first half by the GELU of its second (Shazeer 2020, GEGLU).
at::Tensor gated_gelu(const at::Tensor& x);

}  // namespace sdtorch
