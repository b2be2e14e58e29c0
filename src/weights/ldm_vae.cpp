#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "weights/ldm_keys.hpp"

namespace sdtorch {
namespace {

/// What there is one of; `conv_in`, `conv_out` and the two 1×1 convolutions go by the same name.
constexpr std::pair<const char*, const char*> vae_parts[] = {
    {"encoder.conv_in", "encoder.conv_in"},
    {"encoder.conv_out", "encoder.conv_out"},
    {"encoder.norm_out", "encoder.conv_norm_out"},
    {"decoder.conv_in", "decoder.conv_in"},
    {"decoder.conv_out", "decoder.conv_out"},
    {"decoder.norm_out", "decoder.conv_norm_out"},
    {"quant_conv", "quant_conv"},
    {"post_quant_conv", "post_quant_conv"},
};

/// Inside the encoder and the decoder alike.
constexpr std::pair<const char*, const char*> middle_parts[] = {
    {"mid.block_1", "mid_block.resnets.0"},
    {"mid.block_2", "mid_block.resnets.1"},
    {"mid.attn_1.norm", "mid_block.attentions.0.group_norm"},
    {"mid.attn_1.q", "mid_block.attentions.0.to_q"},
    {"mid.attn_1.k", "mid_block.attentions.0.to_k"},
    {"mid.attn_1.v", "mid_block.attentions.0.to_v"},
    {"mid.attn_1.proj_out", "mid_block.attentions.0.to_out.0"},
};

/// Both counted in the decoder, which a file that only decodes has, too.
VaeLayout count(const KeySet& keys, const char* block) {
  VaeLayout layout;
  int64_t layers = 0;
  while (keys.contains(fmt::format(fmt::runtime(block), layout.levels, 0))) ++layout.levels;
  while (keys.contains(fmt::format(fmt::runtime(block), 0, layers))) ++layers;
  layout.layers = std::max<int64_t>(layers - 1, 0);
  return layout;
}

}  // namespace

VaeLayout ldm_vae_layout(const KeySet& keys) { return count(keys, "decoder.up.{}.block.{}.conv1.weight"); }

VaeLayout diffusers_vae_layout(const KeySet& keys) {
  return count(keys, "decoder.up_blocks.{}.resnets.{}.conv1.weight");
}

KeyTable vae_key_table(const VaeLayout& layout) {
  std::vector<KeyPair> pairs;
  for (const auto& [theirs, ours] : vae_parts) pairs.push_back({theirs, ours});
  for (const char* half : {"encoder", "decoder"}) {
    for (const auto& [theirs, ours] : middle_parts) {
      pairs.push_back({fmt::format("{}.{}", half, theirs), fmt::format("{}.{}", half, ours)});
    }
  }
  // Residual blocks have the same names inside, but for the one that changes the width.
  const auto residual = [&](const std::string& theirs, const std::string& ours) {
    pairs.push_back({theirs, ours});
    pairs.push_back({theirs + ".nin_shortcut", ours + ".conv_shortcut"});
  };
  for (int64_t level = 0; level < layout.levels; ++level) {
    // The decoder's levels are numbered by resolution there, and as they run here.
    const int64_t up = layout.levels - 1 - level;
    for (int64_t i = 0; i < layout.layers; ++i) {
      residual(fmt::format("encoder.down.{}.block.{}", level, i),
               fmt::format("encoder.down_blocks.{}.resnets.{}", level, i));
    }
    for (int64_t i = 0; i <= layout.layers; ++i) {
      residual(fmt::format("decoder.up.{}.block.{}", level, i), fmt::format("decoder.up_blocks.{}.resnets.{}", up, i));
    }
    pairs.push_back({fmt::format("encoder.down.{}.downsample", level),
                     fmt::format("encoder.down_blocks.{}.downsamplers.0", level)});
    pairs.push_back(
        {fmt::format("decoder.up.{}.upsample", level), fmt::format("decoder.up_blocks.{}.upsamplers.0", up)});
  }
  return KeyTable(pairs);
}

}  // namespace sdtorch
