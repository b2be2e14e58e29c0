#include "nn/fused.hpp"

#include "nn/cuda/layers.hpp"

namespace sdtorch {

at::Tensor normed_conv(const Conv2d& conv, const GroupNorm& norm, const at::Tensor& x, const at::Tensor& shift,
                       std::optional<Activation> activation) {
  if (cuda::takes(x)) return norm->after_bias(conv->without_bias(x), conv->bias, shift, activation);
  return norm(conv(x), activation, shift);
}

at::Tensor conv_onto(const Conv2d& conv, const at::Tensor& x, const at::Tensor& residual) {
  return cuda::takes(x) ? conv->onto(x, residual) : residual + conv(x);
}

}  // namespace sdtorch
