#include "nn/linear.hpp"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <cstdint>

namespace sdtorch {

LinearImpl::LinearImpl(int64_t in, int64_t out, LinearOptions options)
    : weight(register_parameter("weight", at::empty({out, in}), /*requires_grad=*/false)) {
  if (options.bias) bias = register_parameter("bias", at::empty({out}), /*requires_grad=*/false);
}

at::Tensor LinearImpl::forward(const at::Tensor& x) const {
  return int8_ ? int8_->multiply(x) : at::linear(x, weight, bias);
}

void LinearImpl::prepare(const Placement& to) {
  if (int8_) return;
  // Matrix products may round by where in memory a matrix begins (MKL's documentation of reproducibility): a model must
  // not draw otherwise because its file's header is longer. Convolutions pack their weights themselves.
  constexpr uintptr_t boundary = 64;  // bytes
  place(weight, to);
  if (weight.is_cpu() && reinterpret_cast<uintptr_t>(weight.const_data_ptr()) % boundary != 0) {
    const c10::InferenceMode same_kind(weight.is_inference());
    weight.set_data(weight.detach().clone());
  }
  if (bias.defined()) place(bias, to);
  if (!in_int8_) return;
  int8_ = std::make_shared<const Int8Weights>(weight, bias);
  let_go(weight);
}

}  // namespace sdtorch
