#include "networks/clip_vision.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "nn/attach.hpp"

namespace sdtorch {
namespace {

ClipLayerOptions layer_options(const ClipVisionConfig& c) {
  return {.width = c.hidden_size,
          .inner = c.intermediate_size,
          .heads = c.num_attention_heads,
          .activation = c.hidden_act,
          .eps = c.layer_norm_eps};
}

}  // namespace

ClipVisionModel::ClipVisionModel(const ClipVisionConfig& c)
    : config_(c),
      patch_embedding_(
          attach(*this, "vision_model.embeddings.patch_embedding",
                 Conv2d(3, c.hidden_size, c.patch_size, Conv2dOptions{.stride = c.patch_size, .bias = false}))),
      position_embedding_(
          attach(*this, "vision_model.embeddings.position_embedding", Embedding(c.tokens(), c.hidden_size))),
      pre_layernorm_(attach(*this, "vision_model.pre_layrnorm", LayerNorm(c.hidden_size, c.layer_norm_eps))),
      post_layernorm_(attach(*this, "vision_model.post_layernorm", LayerNorm(c.hidden_size, c.layer_norm_eps))),
      visual_projection_(
          attach(*this, "visual_projection", Linear(c.hidden_size, c.projection_dim, LinearOptions{.bias = false}))) {
  auto [embeddings, name] = attach_point(*this, "vision_model.embeddings.class_embedding");
  class_embedding_ = embeddings->register_parameter(name, at::empty({c.hidden_size}), /*requires_grad=*/false);
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) {
    layers_.push_back(
        attach(*this, fmt::format("vision_model.encoder.layers.{}", i), ClipEncoderLayer(layer_options(c))));
  }
}

at::Tensor ClipVisionModel::tokens_of(const at::Tensor& pixels) const {
  const at::Tensor patches = patch_embedding_(pixels).flatten(2).transpose(1, 2);
  const at::Tensor whole = class_embedding_.expand({pixels.size(0), 1, -1});
  const at::Tensor positions =
      position_embedding_(at::arange(config_.tokens(), at::TensorOptions(at::kLong).device(pixels.device())));
  return pre_layernorm_(at::cat({whole, patches}, 1) + positions);
}

at::Tensor ClipVisionModel::embed(const at::Tensor& pixels) const {
  at::Tensor x = tokens_of(pixels);
  for (const ClipEncoderLayer& layer : layers_) x = layer(x);
  return visual_projection_(post_layernorm_(x.select(1, 0)));
}

at::Tensor ClipVisionModel::penultimate(const at::Tensor& pixels) const {
  at::Tensor x = tokens_of(pixels);
  for (size_t i = 0; i + 1 < layers_.size(); ++i) x = layers_[i](x);
  return x;
}

}  // namespace sdtorch
