#include "nn/fused.hpp"

#include "nn/cuda/layers.hpp"

namespace sdtorch {

at::Tensor normed_conv(const Conv2d& conv, const GroupNorm& norm, const at::Tensor& x, const at::Tensor& shift,
                       std::optional<Activation> activation) {
  if (cuda::takes(x)) return norm->after_bias(conv->without_bias(x), conv->bias, shift, activation);
  const at::Tensor h = conv(x);
  return norm(shift.defined() ? h + shift.unsqueeze(-1).unsqueeze(-1) : h, activation);
}

at::Tensor conv_onto(const Conv2d& conv, const at::Tensor& x, const at::Tensor& residual) {
  return cuda::takes(x) ? conv->onto(x, residual) : residual + conv(x);
}

at::Tensor geglu(const at::Tensor& x) {
  if (cuda::takes(x)) return cuda::geglu(x);
  const auto halves = x.chunk(2, -1);
  return halves[0] * activate(halves[1], Activation::gelu);
}

}  // namespace sdtorch
