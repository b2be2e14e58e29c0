#include "nn/standardized_conv.hpp"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/profile.hpp"

namespace sdtorch {

at::Tensor pad_same(const at::Tensor& x, int64_t kernel, int64_t stride) {
  const auto missing = [&](int64_t size) {
    const int64_t places = (size + stride - 1) / stride;
    return std::max<int64_t>((places - 1) * stride + kernel - size, 0);
  };
  const int64_t rows = missing(x.size(2)), columns = missing(x.size(3));
  if (rows == 0 && columns == 0) return x;
  return at::constant_pad_nd(x, {columns / 2, columns - columns / 2, rows / 2, rows - rows / 2});
}

StandardizedConv2dImpl::StandardizedConv2dImpl(int64_t in, int64_t out, int64_t kernel, int64_t stride, double eps)
    : weight(register_parameter("weight", at::empty({out, in, kernel, kernel}), /*requires_grad=*/false)),
      stride_(stride),
      eps_(eps) {}

at::Tensor StandardizedConv2dImpl::forward(const at::Tensor& x) const {
  const auto places = [&](int64_t size) { return (size + stride_ - 1) / stride_; };
  const LayerTimer timer(LayerKind::convolution, {.rows = x.size(0) * places(x.size(2)) * places(x.size(3)),
                                                  .inner = weight.size(1) * weight.size(2) * weight.size(3),
                                                  .columns = weight.size(0)});
  const at::Tensor filters = weight.flatten(1).to(at::kFloat);
  const at::Tensor centred = filters - filters.mean(1, /*keepdim=*/true);
  const at::Tensor standard = centred * (centred.square().mean(1, /*keepdim=*/true) + eps_).rsqrt();
  return at::conv2d(pad_same(x, weight.size(2), stride_), standard.view_as(weight).to(x.scalar_type()),
                    /*bias=*/{}, stride_);
}

}  // namespace sdtorch
