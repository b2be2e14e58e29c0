#include "nn/conv.hpp"

#include <ATen/ATen.h>

#include "nn/cpu/packed.hpp"
#include "nn/recorded.hpp"

namespace sdtorch {

Conv2dImpl::Conv2dImpl(int64_t in, int64_t out, int64_t kernel, Conv2dOptions options)
    : weight(register_parameter("weight", at::empty({out, in, kernel, kernel}), /*requires_grad=*/false)),
      options_(options) {
  if (options.bias) bias = register_parameter("bias", at::empty({out}), /*requires_grad=*/false);
}

at::Tensor Conv2dImpl::forward(const at::Tensor& x) const {
  if (int8_) return int8_->multiply(x);
  if (weight.is_mkldnn() && recorded(x)) {
    return at::conv2d(x, weight.to_dense(), bias, options_.stride, options_.padding);
  }
  if (!x.is_cpu() || weight.requires_grad()) return at::conv2d(x, weight, bias, options_.stride, options_.padding);
  const at::Tensor innermost = x.contiguous(at::MemoryFormat::ChannelsLast);
  if (!weight.is_mkldnn()) return at::conv2d(innermost, weight, bias, options_.stride, options_.padding);
  return cpu::packed_convolution(innermost, weight, bias, options_.stride, options_.padding);
}

void Conv2dImpl::prepare(const Placement& to) {
  if (int8_ || weight.is_mkldnn()) return;
  // oneDNN is quicker with the channels innermost: at Stable Diffusion's size by a seventh in fp32, a third in bf16.
  // The layers between convolutions keep the layout, so only the first picture is rearranged.
  place(weight, to, to.device.is_cpu() ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous);
  if (bias.defined()) place(bias, to);
  if (in_int8_) {
    int8_ = std::make_shared<const Int8Weights>(weight, bias, options_.stride, options_.padding);
    let_go(weight);
  } else if (cpu::can_pack(weight)) {
    parameters_["weight"] = weight = cpu::pack_convolution(weight, options_.stride, options_.padding);
  }
}

ConvTranspose2dImpl::ConvTranspose2dImpl(int64_t in, int64_t out, int64_t factor)
    : weight(register_parameter("weight", at::empty({in, out, factor, factor}), /*requires_grad=*/false)),
      bias(register_parameter("bias", at::empty({out}), /*requires_grad=*/false)),
      factor_(factor) {}

at::Tensor ConvTranspose2dImpl::forward(const at::Tensor& x) const {
  return at::conv_transpose2d(x, weight, bias, factor_);
}

}  // namespace sdtorch
