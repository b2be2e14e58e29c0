#include "nn/linear.hpp"

#include <ATen/ATen.h>

namespace sdtorch {

LinearImpl::LinearImpl(int64_t in, int64_t out, LinearOptions options)
    : weight(register_parameter("weight", at::empty({out, in}), /*requires_grad=*/false)) {
  if (options.bias) bias = register_parameter("bias", at::empty({out}), /*requires_grad=*/false);
}

at::Tensor LinearImpl::forward(const at::Tensor& x) const { return at::linear(x, weight, bias); }

}  // namespace sdtorch
