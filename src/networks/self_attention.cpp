#include "networks/self_attention.hpp"

#include <fmt/format.h>

#include "core/error.hpp"
#include "networks/unet.hpp"

namespace sdtorch {
namespace {

void add_layers(std::vector<std::string>& keys, const std::string& block, const std::vector<int64_t>& depths) {
  for (size_t i = 0; i < depths.size(); ++i) {
    for (int64_t k = 0; k < depths[i]; ++k) {
      keys.push_back(fmt::format("{}.attentions.{}.transformer_blocks.{}.attn1", block, i, k));
    }
  }
}

}  // namespace

std::vector<std::string> self_attention_layers(const UNetConfig& config) {
  std::vector<std::string> keys;
  const size_t count = config.levels.size();
  for (size_t i = 0; i < count; ++i) {
    const UNetLevel& level = config.levels[i];
    if (!level.only_cross_attention) add_layers(keys, fmt::format("down_blocks.{}", i), level.down_transformers);
  }
  if (config.mid_block == MidBlock::cross_attention) add_layers(keys, "mid_block", {config.mid_transformer});
  for (size_t i = 0; i < count; ++i) {
    const UNetLevel& level = config.levels[count - 1 - i];
    if (!level.only_cross_attention) add_layers(keys, fmt::format("up_blocks.{}", i), level.up_transformers);
  }
  return keys;
}

std::string middle_self_attention(const UNetConfig& config) {
  const bool there = config.mid_block == MidBlock::cross_attention && config.mid_transformer > 0;
  return there ? "mid_block.attentions.0.transformer_blocks.0.attn1" : "";
}

const CrossAttentionImpl* find_self_attention(const UNet2DConditionModel& unet, const std::string& key) {
  const auto modules = unet.named_modules();
  const auto* layer = modules.contains(key) ? modules[key]->as<CrossAttentionImpl>() : nullptr;
  if (!layer) throw Error(ErrorKind::bug, {.reason = fmt::format("the U-Net has no layer {}", key)});
  return layer;
}

}  // namespace sdtorch
