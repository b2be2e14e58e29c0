#include "sdtorch/nn/conv.hpp"

#include <ATen/ATen.h>

namespace sdtorch {

Conv2dImpl::Conv2dImpl(int64_t in, int64_t out, int64_t kernel, Conv2dOptions options)
    : weight(register_parameter("weight", at::empty({out, in, kernel, kernel}), /*requires_grad=*/false)),
      bias(register_parameter("bias", at::empty({out}), /*requires_grad=*/false)),
      options_(options) {}

at::Tensor Conv2dImpl::forward(const at::Tensor& x) {
  return at::conv2d(x, weight, bias, options_.stride, options_.padding);
}

}  // namespace sdtorch
