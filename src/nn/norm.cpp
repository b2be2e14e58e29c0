#include "nn/norm.hpp"

#include <ATen/ATen.h>

#include "nn/cuda/layers.hpp"

namespace sdtorch {

GroupNormImpl::GroupNormImpl(int64_t groups, int64_t channels, double eps)
    : weight(register_parameter("weight", at::empty({channels}), /*requires_grad=*/false)),
      bias(register_parameter("bias", at::empty({channels}), /*requires_grad=*/false)),
      groups_(groups),
      eps_(eps) {}

at::Tensor GroupNormImpl::forward(const at::Tensor& x, std::optional<Activation> activation) const {
  if (cuda::takes(x)) return after_bias(x, {}, {}, activation);
  // On the CPU the kernel for channels-last pictures loses digits where a mean is large beside its deviation.
  at::Tensor y = at::group_norm(x.contiguous(), groups_, weight, bias, eps_);
  return activation ? activate(std::move(y), *activation) : y;
}

at::Tensor GroupNormImpl::after_bias(const at::Tensor& x, const at::Tensor& channel_bias, const at::Tensor& shift,
                                     std::optional<Activation> activation) const {
  return cuda::group_norm(x, {.groups = groups_,
                              .weight = weight,
                              .bias = bias,
                              .eps = eps_,
                              .activation = activation,
                              .channel_bias = channel_bias,
                              .shift = shift});
}

LayerNormImpl::LayerNormImpl(int64_t width, double eps)
    : weight(register_parameter("weight", at::empty({width}), /*requires_grad=*/false)),
      bias(register_parameter("bias", at::empty({width}), /*requires_grad=*/false)),
      eps_(eps) {}

at::Tensor LayerNormImpl::forward(const at::Tensor& x) const {
  return at::layer_norm(x, weight.sizes(), weight, bias, eps_);
}

}  // namespace sdtorch
