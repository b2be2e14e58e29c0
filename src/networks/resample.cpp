#include "networks/resample.hpp"

#include <ATen/ATen.h>

#include <utility>

#include "nn/attach.hpp"

namespace sdtorch {

Downsample2DImpl::Downsample2DImpl(int64_t channels, int64_t padding)
    : padding_(padding),
      conv_(attach(*this, "conv", Conv2d(channels, channels, 3, Conv2dOptions{.stride = 2, .padding = padding}))) {}

at::Tensor Downsample2DImpl::forward(const at::Tensor& x) const {
  return conv_(padding_ == 0 ? at::constant_pad_nd(x, {0, 1, 0, 1}) : x);
}

Upsample2DImpl::Upsample2DImpl(int64_t channels)
    : conv_(attach(*this, "conv", Conv2d(channels, channels, 3, Conv2dOptions{.padding = 1}))) {}

at::Tensor Upsample2DImpl::forward(at::Tensor x, at::IntArrayRef size) const {
  if (size[0] == 2 * x.size(2) && size[1] == 2 * x.size(3)) return conv_->of_doubled(std::move(x));
  x = at::upsample_nearest2d(x, size);
  return conv_(x);
}

}  // namespace sdtorch
