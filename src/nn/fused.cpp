#include "nn/fused.hpp"

#include "nn/cuda/layers.hpp"
#include "nn/recorded.hpp"

namespace sdtorch {

at::Tensor normed_conv(const Conv2d& conv, const GroupNorm& norm, at::Tensor x, const at::Tensor& shift,
                       std::optional<Activation> activation) {
  if (cuda::takes(x)) return norm->after_bias(conv->without_bias(x), conv->bias, shift, activation);
  x = conv(x);
  return norm(x, activation, shift);
}

at::Tensor conv_onto(const Conv2d& conv, const at::Tensor& x, const at::Tensor& residual) {
  if (cuda::takes(x)) return conv->onto(x, residual);
  at::Tensor y = conv(x);
  return recorded(y) ? residual + y : y.add_(residual);
}

}  // namespace sdtorch
