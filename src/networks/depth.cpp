#include "networks/depth.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <array>
#include <cmath>

#include "core/error.hpp"
#include "nn/activation.hpp"
#include "nn/attach.hpp"
#include "nn/attention.hpp"

namespace sdtorch {
namespace {

constexpr int64_t head_width = 32;  // fixed in the reference

Linear vit_projection(const DepthConfig& c) {
  return Linear(c.hidden_size, c.hidden_size, LinearOptions{.bias = c.qkv_bias});
}

}  // namespace

VitLayerImpl::VitLayerImpl(const DepthConfig& c)
    : heads_(c.num_attention_heads),
      activation_(c.hidden_act),
      norm_before_(attach(*this, "layernorm_before", LayerNorm(c.hidden_size, c.layer_norm_eps))),
      norm_after_(attach(*this, "layernorm_after", LayerNorm(c.hidden_size, c.layer_norm_eps))),
      query_(attach(*this, "attention.attention.query", vit_projection(c))),
      key_(attach(*this, "attention.attention.key", vit_projection(c))),
      value_(attach(*this, "attention.attention.value", vit_projection(c))),
      attention_out_(attach(*this, "attention.output.dense", Linear(c.hidden_size, c.hidden_size))),
      widen_(attach(*this, "intermediate.dense", Linear(c.hidden_size, c.intermediate_size))),
      narrow_(attach(*this, "output.dense", Linear(c.intermediate_size, c.hidden_size))) {}

at::Tensor VitLayerImpl::forward(at::Tensor x) const {
  const at::Tensor h = norm_before_(x);
  x = x + attention_out_(attention(query_(h), key_(h), value_(h), {.heads = heads_}));
  return x + narrow_(activate(widen_(norm_after_(x)), activation_));
}

DepthEmbeddingsImpl::DepthEmbeddingsImpl(const DepthConfig& c) {
  const int64_t side = c.image_size / c.patch_size;
  cls_token_ = register_parameter("cls_token", at::empty({1, 1, c.hidden_size}), /*requires_grad=*/false);
  position_embeddings_ =
      register_parameter("position_embeddings", at::empty({1, 1 + side * side, c.hidden_size}), false);
  if (c.backbone) {
    backbone_ = attach(*this, "backbone.bit", BitBackbone(*c.backbone, c.num_channels));
    projection_ = attach(*this, "projection", Conv2d(c.backbone->hidden_sizes.back(), c.hidden_size, 1));
  } else {
    projection_ = attach(*this, "patch_embeddings.projection",
                         Conv2d(c.num_channels, c.hidden_size, c.patch_size, Conv2dOptions{.stride = c.patch_size}));
  }
}

at::Tensor DepthEmbeddingsImpl::positions(at::IntArrayRef grid) const {
  const at::Tensor first = position_embeddings_.narrow(1, 0, 1);
  const at::Tensor others = position_embeddings_.narrow(1, 1, position_embeddings_.size(1) - 1);
  const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(others.size(1)))));
  if (grid[0] == side && grid[1] == side) return position_embeddings_;
  const at::Tensor square = others.transpose(1, 2).unflatten(2, {side, side});
  const at::Tensor stretched = at::upsample_bilinear2d(square, grid, /*align_corners=*/false);
  return at::cat({first, stretched.flatten(2).transpose(1, 2)}, 1);
}

DepthEmbeddingsImpl::Tokens DepthEmbeddingsImpl::forward(const at::Tensor& picture, at::IntArrayRef grid) const {
  Tokens made;
  at::Tensor x = picture;
  if (backbone_) {
    made.features = backbone_(picture);
    x = made.features.back();
    made.features.pop_back();
  }
  x = projection_(x).flatten(2).transpose(1, 2);
  made.tokens = at::cat({cls_token_.expand({x.size(0), -1, -1}), x}, 1) + positions(grid);
  return made;
}

DepthEstimator::DepthEstimator(const DepthConfig& c)
    : config_(c),
      embeddings_(attach(*this, "dpt.embeddings", DepthEmbeddings(c))),
      head_0_(attach(*this, "head.head.0",
                     Conv2d(c.fusion_hidden_size, c.fusion_hidden_size / 2, 3, Conv2dOptions{.padding = 1}))),
      head_2_(
          attach(*this, "head.head.2", Conv2d(c.fusion_hidden_size / 2, head_width, 3, Conv2dOptions{.padding = 1}))),
      head_4_(attach(*this, "head.head.4", Conv2d(head_width, 1, 1))) {
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) {
    layers_.push_back(attach(*this, fmt::format("dpt.encoder.layer.{}", i), VitLayer(c)));
  }
  // Of the whole ViT's output, which the depth is not made of: files have it all the same.
  attach(*this, "dpt.layernorm", LayerNorm(c.hidden_size, c.layer_norm_eps));
  for (size_t i = 0; i < c.neck_hidden_sizes.size(); ++i) {
    if (i >= c.backbone_features()) reassemblies_.emplace_back(*this, c, i);
    convs_.push_back(
        attach(*this, fmt::format("neck.convs.{}", i),
               Conv2d(c.neck_hidden_sizes[i], c.fusion_hidden_size, 3, Conv2dOptions{.padding = 1, .bias = false})));
    fusions_.push_back(attach(*this, fmt::format("neck.fusion_stage.layers.{}", i), DepthFusion(c)));
  }
}

std::vector<at::Tensor> DepthEstimator::features(const at::Tensor& picture) const {
  const std::array<int64_t, 2> grid{picture.size(2) / config_.patch_size, picture.size(3) / config_.patch_size};
  auto [x, features] = embeddings_(picture, grid);
  for (size_t i = 0; i < layers_.size(); ++i) {
    x = layers_[i](x);
    if (config_.taps[i]) features.push_back(reassemblies_[features.size() - config_.backbone_features()](x, grid));
  }
  for (size_t i = 0; i < features.size(); ++i) features[i] = convs_[i](features[i]);
  return features;
}

at::Tensor DepthEstimator::forward(const at::Tensor& picture) const {
  const auto fits = [&](int64_t size) {
    return config_.backbone ? size == config_.image_size : size % config_.patch_size == 0;
  };
  if (!fits(picture.size(2)) || !fits(picture.size(3))) {
    throw Error(ErrorKind::bug, {.reason = fmt::format("a depth estimator for {} pixels was given {}×{}",
                                                       config_.image_size, picture.size(3), picture.size(2))});
  }
  const std::vector<at::Tensor> all = features(picture);
  at::Tensor x = fusions_.front()(all.back(), at::Tensor());
  for (size_t i = 1; i < all.size(); ++i) x = fusions_[i](x, all[all.size() - 1 - i]);
  x = head_0_(x);
  const std::array<int64_t, 2> doubled{2 * x.size(2), 2 * x.size(3)};
  x = activate(head_2_(at::upsample_bilinear2d(x, doubled, /*align_corners=*/true)), Activation::relu);
  return activate(head_4_(x), Activation::relu).squeeze(1);
}

}  // namespace sdtorch
