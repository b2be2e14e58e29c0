#include "nn/norm.hpp"

#include <ATen/ATen.h>

#include "core/profile.hpp"
#include "nn/cpu/group_norm.hpp"
#include "nn/cuda/layers.hpp"
#include "nn/recorded.hpp"

namespace sdtorch {

GroupNormImpl::GroupNormImpl(int64_t groups, int64_t channels, double eps)
    : weight(register_parameter("weight", at::empty({channels}), /*requires_grad=*/false)),
      bias(register_parameter("bias", at::empty({channels}), /*requires_grad=*/false)),
      groups_(groups),
      eps_(eps) {}

at::Tensor GroupNormImpl::forward(const at::Tensor& x, std::optional<Activation> activation,
                                  const at::Tensor& shift) const {
  if (cuda::takes(x)) return after_bias(x, {}, shift, activation);
  const LayerTimer timer(LayerKind::norm);
  const bool innermost = x.scalar_type() == at::kBFloat16 || keeps_layout_;
  if (innermost && cpu::group_norm_takes(x) && !recorded(x) && weight.scalar_type() == x.scalar_type()) {
    const bool silu = activation == Activation::silu;
    at::Tensor y = cpu::group_norm(x, {weight, bias, groups_, eps_, silu}, shift);
    return activation && !silu ? activate(std::move(y), *activation) : y;
  }
  const at::Tensor shifted = shift.defined() ? x + shift.unflatten(1, {-1, 1, 1}) : x;
  at::Tensor y = at::group_norm(shifted.contiguous(), groups_, weight, bias, eps_);
  return activation ? activate(std::move(y), *activation) : y;
}

at::Tensor GroupNormImpl::after_bias(const at::Tensor& x, const at::Tensor& channel_bias, const at::Tensor& shift,
                                     std::optional<Activation> activation) const {
  const LayerTimer timer(LayerKind::norm);
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
  const LayerTimer timer(LayerKind::norm);
  return at::layer_norm(x, weight.sizes(), weight, bias, eps_);
}

}  // namespace sdtorch
