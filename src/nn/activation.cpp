#include "nn/activation.hpp"

#include <ATen/ATen.h>

#include "core/profile.hpp"
#include "nn/cpu/gated_gelu.hpp"
#include "nn/cuda/layers.hpp"
#include "nn/recorded.hpp"

namespace sdtorch {

at::Tensor activate(const at::Tensor& x, Activation activation) {
  const LayerTimer timer(LayerKind::activation);
  switch (activation) {
    case Activation::silu:
      return at::silu(x);
    case Activation::gelu:
      return at::gelu(x);
    case Activation::gelu_tanh:
      return at::gelu(x, "tanh");
    case Activation::quick_gelu:
      return x * at::sigmoid(1.702 * x);
    case Activation::mish:
      return at::mish(x);
    case Activation::relu:
      return at::relu(x);
  }
  return x;
}

at::Tensor activate(at::Tensor&& x, Activation activation) {
  if (recorded(x)) return activate(std::as_const(x), activation);
  const LayerTimer timer(LayerKind::activation);
  switch (activation) {
    case Activation::silu:
      return at::silu_(x);
    case Activation::gelu:
      return at::gelu_(x);
    case Activation::gelu_tanh:
      return at::gelu_(x, "tanh");
    case Activation::relu:
      return at::relu_(x);
    case Activation::mish:
      return at::mish_(x);
    case Activation::quick_gelu:
      return x.mul_(at::sigmoid(1.702 * x));
  }
  return std::move(x);
}

at::Tensor gated_gelu(const at::Tensor& x) {
  const LayerTimer timer(LayerKind::activation);
  if (cpu::gated_gelu_takes(x) && !recorded(x)) return cpu::gated_gelu(x);
  if (cuda::takes(x)) return cuda::gated_gelu(x);
  const auto halves = x.chunk(2, -1);
  return halves[0] * activate(halves[1], Activation::gelu);
}

}  // namespace sdtorch
