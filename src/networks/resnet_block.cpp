#include "networks/resnet_block.hpp"

#include <ATen/ATen.h>

#include <utility>

#include "networks/shared_rows.hpp"
#include "nn/attach.hpp"
#include "nn/fused.hpp"

namespace sdtorch {

ResnetBlock2DImpl::ResnetBlock2DImpl(const ResnetOptions& o)
    : options_(o),
      norm1_(attach(*this, "norm1", GroupNorm(o.groups, o.in_channels, o.eps))),
      conv1_(attach(*this, "conv1", Conv2d(o.in_channels, o.out_channels, 3, Conv2dOptions{.padding = 1}))),
      norm2_(attach(*this, "norm2", GroupNorm(o.groups, o.out_channels, o.eps))),
      conv2_(attach(*this, "conv2", Conv2d(o.out_channels, o.out_channels, 3, Conv2dOptions{.padding = 1}))) {
  if (o.time_channels > 0) {
    const int64_t width = o.scale_shift ? 2 * o.out_channels : o.out_channels;
    time_emb_proj_ = attach(*this, "time_emb_proj", Linear(o.time_channels, width));
  }
  if (o.in_channels != o.out_channels) {
    conv_shortcut_ = attach(*this, "conv_shortcut", Conv2d(o.in_channels, o.out_channels, 1));
  }
}

at::Tensor ResnetBlock2DImpl::forward(at::Tensor x, const at::Tensor& time) const {
  at::Tensor h = norm1_(x, options_.activation);
  at::Tensor shift;
  if (time_emb_proj_) shift = for_rows(time_emb_proj_(activate(time, options_.activation)), x.size(0));
  if (options_.scale_shift) {
    const auto halves = shift.unflatten(1, {-1, 1, 1}).chunk(2, 1);
    h = activate(norm2_(conv1_(h)) * (1 + halves[0]) + halves[1], options_.activation);
  } else {
    h = normed_conv(conv1_, norm2_, std::move(h), shift, options_.activation);
  }
  const at::Tensor residual = conv_shortcut_ ? conv_shortcut_(x) : x;
  x.reset();
  h = conv_onto(conv2_, h, residual);
  return options_.output_scale == 1 ? h : h / options_.output_scale;
}

}  // namespace sdtorch
