#include "networks/image_attention.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <utility>

#include "core/error.hpp"
#include "networks/unet.hpp"
#include "nn/attach.hpp"
#include "nn/attention.hpp"

namespace sdtorch {
namespace {

void add_places(std::vector<CrossAttentionPlace>& places, const std::string& block, const UNetLevel& level,
                const std::vector<int64_t>& depths) {
  for (size_t i = 0; i < depths.size(); ++i) {
    for (int64_t k = 0; k < depths[i]; ++k) {
      places.push_back({.key = fmt::format("{}.attentions.{}.transformer_blocks.{}.attn2", block, i, k),
                        .inner = level.channels / level.heads * level.heads,
                        .context_width = level.context_width});
    }
  }
}

}  // namespace

std::vector<CrossAttentionPlace> cross_attention_places(const UNetConfig& config) {
  std::vector<CrossAttentionPlace> places;
  const size_t count = config.levels.size();
  for (size_t i = 0; i < count; ++i) {
    add_places(places, fmt::format("down_blocks.{}", i), config.levels[i], config.levels[i].down_transformers);
  }
  for (size_t i = 0; i < count; ++i) {
    const UNetLevel& level = config.levels[count - 1 - i];
    add_places(places, fmt::format("up_blocks.{}", i), level, level.up_transformers);
  }
  if (config.mid_block == MidBlock::cross_attention) {
    add_places(places, "mid_block", config.levels.back(), {config.mid_transformer});
  }
  return places;
}

std::string ImageAttentionLayers::key_of(size_t place, const char* layer) {
  return fmt::format("{}.{}.weight", 2 * place + 1, layer);
}

ImageAttentionLayers::ImageAttentionLayers(const std::vector<CrossAttentionPlace>& places) {
  for (size_t i = 0; i < places.size(); ++i) {
    const auto layer = [&, &place = places[i]](const char* name) {
      return attach(*this, fmt::format("{}.{}", 2 * i + 1, name),
                    Linear(place.context_width, place.inner, LinearOptions{.bias = false}));
    };
    to_k_.push_back(layer("to_k_ip"));
    to_v_.push_back(layer("to_v_ip"));
  }
}

ImageAttention::ImageAttention(const UNet2DConditionModel& unet, std::vector<WeightedImageAttention> adapters)
    : adapters_(std::move(adapters)) {
  const auto modules = unet.named_modules();
  const std::vector<CrossAttentionPlace> places = cross_attention_places(unet.config());
  for (size_t i = 0; i < places.size(); ++i) {
    const auto* found = modules.find(places[i].key);
    const auto* layer = found ? (*found)->as<CrossAttentionImpl>() : nullptr;
    if (!layer) throw Error(ErrorKind::bug, {.reason = fmt::format("the U-Net has no layer {}", places[i].key)});
    places_.emplace(layer, i);
  }
}

at::Tensor ImageAttention::add(const CrossAttentionImpl* layer, const at::Tensor& q, int64_t heads,
                               const std::vector<at::Tensor>& tokens, const at::Tensor& text) const {
  const auto found = places_.find(layer);
  if (found == places_.end()) return text;
  if (tokens.size() != adapters_.size()) {
    throw Error(ErrorKind::bug, {.reason = fmt::format("tokens of pictures for {} adapters, and there are {}",
                                                       tokens.size(), adapters_.size())});
  }
  at::Tensor sum = text;
  for (size_t i = 0; i < adapters_.size(); ++i) {
    const auto& [layers, scale] = adapters_[i];
    if (scale == 0) continue;
    const at::Tensor k = layers->to_k(found->second)(tokens[i]), v = layers->to_v(found->second)(tokens[i]);
    sum = sum + scale * attention(q, k, v, {.heads = heads});
  }
  return sum;
}

std::string ImageAttention::name() const {
  std::string name;
  for (const WeightedImageAttention& adapter : adapters_) name += fmt::format(" {}", adapter.scale);
  return name;
}

}  // namespace sdtorch
