#include "networks/depth_neck.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <array>

#include "nn/activation.hpp"
#include "nn/attach.hpp"

namespace sdtorch {

DepthReassembly::DepthReassembly(torch::nn::Module& root, const DepthConfig& c, size_t index)
    : readout_(c.readout),
      activation_(c.hidden_act),
      projection_(attach(root, fmt::format("neck.reassemble_stage.layers.{}.projection", index),
                         Conv2d(c.hidden_size, c.neck_hidden_sizes[index], 1))) {
  if (c.readout == Readout::project) {
    readout_project_ = attach(root, fmt::format("neck.reassemble_stage.readout_projects.{}.0", index),
                              Linear(2 * c.hidden_size, c.hidden_size));
  }
  const int64_t channels = c.neck_hidden_sizes[index];
  const double factor = c.reassemble_factors[index];
  const std::string resize = fmt::format("neck.reassemble_stage.layers.{}.resize", index);
  if (factor > 1) enlarge_ = attach(root, resize, ConvTranspose2d(channels, channels, static_cast<int64_t>(factor)));
  if (factor < 1) {
    const auto stride = static_cast<int64_t>(1 / factor);
    shrink_ = attach(root, resize, Conv2d(channels, channels, 3, Conv2dOptions{.stride = stride, .padding = 1}));
  }
}

at::Tensor DepthReassembly::read_out(const at::Tensor& tokens) const {
  const at::Tensor readout = tokens.narrow(1, 0, 1);
  at::Tensor others = tokens.narrow(1, 1, tokens.size(1) - 1);
  switch (readout_) {
    case Readout::add:
      return others + readout;
    case Readout::project:
      return activate(readout_project_(at::cat({others, readout.expand_as(others)}, 2)), activation_);
    case Readout::ignore:
      break;
  }
  return others;
}

at::Tensor DepthReassembly::operator()(const at::Tensor& tokens, at::IntArrayRef grid) const {
  const at::Tensor x = projection_(read_out(tokens).transpose(1, 2).unflatten(2, grid));
  if (enlarge_) return enlarge_(x);
  return shrink_ ? shrink_(x) : x;
}

DepthFusionImpl::Unit::Unit(torch::nn::Module& root, const std::string& key, const DepthConfig& c)
    : first(attach(
          root, key + ".convolution1",
          Conv2d(c.fusion_hidden_size, c.fusion_hidden_size, 3, Conv2dOptions{.padding = 1, .bias = c.fusion_bias}))),
      second(attach(
          root, key + ".convolution2",
          Conv2d(c.fusion_hidden_size, c.fusion_hidden_size, 3, Conv2dOptions{.padding = 1, .bias = c.fusion_bias}))) {}

at::Tensor DepthFusionImpl::Unit::operator()(const at::Tensor& x) const {
  return second(activate(first(activate(x, Activation::relu)), Activation::relu)) + x;
}

DepthFusionImpl::DepthFusionImpl(const DepthConfig& c)
    : of_feature_(*this, "residual_layer1", c),
      of_sum_(*this, "residual_layer2", c),
      projection_(attach(*this, "projection", Conv2d(c.fusion_hidden_size, c.fusion_hidden_size, 1))) {}

at::Tensor DepthFusionImpl::forward(at::Tensor x, const at::Tensor& feature) const {
  const at::IntArrayRef size = x.sizes().slice(2);
  if (feature.defined()) {
    const bool fits = feature.sizes().slice(2) == size;
    x = x + of_feature_(fits ? feature : at::upsample_bilinear2d(feature, size, /*align_corners=*/false));
  }
  const std::array<int64_t, 2> doubled{2 * x.size(2), 2 * x.size(3)};
  return projection_(at::upsample_bilinear2d(of_sum_(x), doubled, /*align_corners=*/true));
}

}  // namespace sdtorch
