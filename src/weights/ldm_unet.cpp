#include <fmt/format.h>

#include <utility>

#include "weights/ldm_keys.hpp"

namespace sdtorch {
namespace {

/// Inside a residual block.
constexpr std::pair<const char*, const char*> residual_parts[] = {
    {"in_layers.0", "norm1"},  {"in_layers.2", "conv1"},  {"emb_layers.1", "time_emb_proj"},
    {"out_layers.0", "norm2"}, {"out_layers.3", "conv2"}, {"skip_connection", "conv_shortcut"},
};

/// What there is one of. Guidance embeddings came after the original code; converters leave their name as it is.
constexpr std::pair<const char*, const char*> unet_parts[] = {
    {"time_embed.0", "time_embedding.linear_1"},
    {"time_embed.2", "time_embedding.linear_2"},
    {"time_embedding.cond_proj", "time_embedding.cond_proj"},
    {"time_embed.cond_proj", "time_embedding.cond_proj"},
    {"label_emb.0.0", "add_embedding.linear_1"},
    {"label_emb.0.2", "add_embedding.linear_2"},
    {"input_blocks.0.0", "conv_in"},
    {"out.0", "conv_norm_out"},
    {"out.2", "conv_out"},
};

constexpr const char* residual_mark = ".in_layers.2.weight";      // every residual block of theirs has it
constexpr const char* diffusers_residual_mark = ".conv1.weight";  // and every one of ours

int64_t transformer_depth(const KeySet& keys, const std::string& block) {
  int64_t depth = 0;
  while (keys.contains(fmt::format("{}.transformer_blocks.{}.norm1.weight", block, depth))) ++depth;
  return depth > 0 || keys.contains(block + ".proj_in.weight") ? depth : UNetLayout::none;
}

/// The blocks `name`.0, .1, … of diffusers' names.
std::vector<UNetLayout::Level> diffusers_levels(const KeySet& keys, const char* name) {
  std::vector<UNetLayout::Level> levels;
  for (size_t level = 0;; ++level) {
    UNetLayout::Level depths;
    while (keys.contains(fmt::format("{}.{}.resnets.{}{}", name, level, depths.size(), diffusers_residual_mark))) {
      depths.push_back(transformer_depth(keys, fmt::format("{}.{}.attentions.{}", name, level, depths.size())));
    }
    if (depths.empty()) return levels;
    levels.push_back(std::move(depths));
  }
}

class TableMaker {
 public:
  explicit TableMaker(std::vector<KeyPair> pairs) : pairs_(std::move(pairs)) {}

  void pair(const std::string& theirs, const std::string& ours) { pairs_.push_back({theirs, ours}); }

  void residual(const std::string& theirs, const std::string& ours) {
    for (const auto& [their_part, our_part] : residual_parts) pair(theirs + "." + their_part, ours + "." + our_part);
  }

  void level(const char* name, size_t index, size_t block, const UNetLayout::Level& depths) {
    const std::string theirs = name == std::string_view("down_blocks") ? "input_blocks" : "output_blocks";
    for (size_t i = 0; i < depths.size(); ++i, ++block) {
      residual(fmt::format("{}.{}.0", theirs, block), fmt::format("{}.{}.resnets.{}", name, index, i));
      // Transformers have the same names inside.
      if (depths[i] != UNetLayout::none) {
        pair(fmt::format("{}.{}.1", theirs, block), fmt::format("{}.{}.attentions.{}", name, index, i));
      }
    }
  }

  const std::vector<KeyPair>& pairs() const { return pairs_; }

 private:
  std::vector<KeyPair> pairs_;
};

}  // namespace

UNetLayout ldm_unet_layout(const KeySet& keys) {
  UNetLayout layout;
  layout.down.emplace_back();
  for (size_t block = 1;; ++block) {
    const std::string name = fmt::format("input_blocks.{}", block);
    if (keys.contains(name + ".0.op.weight")) {
      layout.down.emplace_back();
    } else if (keys.contains(name + ".0" + residual_mark)) {
      layout.down.back().push_back(transformer_depth(keys, name + ".1"));
    } else {
      break;
    }
  }
  layout.has_middle = keys.contains(std::string("middle_block.0") + residual_mark);
  layout.middle_transformer = transformer_depth(keys, "middle_block.1");
  layout.up.emplace_back();
  for (size_t block = 0;; ++block) {
    const std::string name = fmt::format("output_blocks.{}", block);
    if (!keys.contains(name + ".0" + residual_mark)) break;
    const int64_t depth = transformer_depth(keys, name + ".1");
    layout.up.back().push_back(depth);
    if (keys.contains(name + (depth == UNetLayout::none ? ".1" : ".2") + ".conv.weight")) layout.up.emplace_back();
  }
  return layout;
}

UNetLayout diffusers_unet_layout(const KeySet& keys) {
  return {.down = diffusers_levels(keys, "down_blocks"),
          .up = diffusers_levels(keys, "up_blocks"),
          .has_middle = keys.contains(std::string("mid_block.resnets.0") + diffusers_residual_mark),
          .middle_transformer = transformer_depth(keys, "mid_block.attentions.0")};
}

KeyTable unet_key_table(const UNetLayout& layout, std::vector<KeyPair> more) {
  TableMaker table(std::move(more));
  for (const auto& [theirs, ours] : unet_parts) table.pair(theirs, ours);
  size_t block = 1;
  for (size_t level = 0; level < layout.down.size(); ++level) {
    table.level("down_blocks", level, block, layout.down[level]);
    block += layout.down[level].size();
    if (level + 1 < layout.down.size()) {
      table.pair(fmt::format("input_blocks.{}.0.op", block++),
                 fmt::format("down_blocks.{}.downsamplers.0.conv", level));
    }
  }
  if (layout.has_middle) {
    table.residual("middle_block.0", "mid_block.resnets.0");
    table.pair("middle_block.1", "mid_block.attentions.0");
    table.residual("middle_block.2", "mid_block.resnets.1");
  }
  block = 0;
  for (size_t level = 0; level < layout.up.size(); ++level) {
    const UNetLayout::Level& depths = layout.up[level];
    table.level("up_blocks", level, block, depths);
    block += depths.size();
    if (level + 1 < layout.up.size() && !depths.empty()) {
      table.pair(fmt::format("output_blocks.{}.{}.conv", block - 1, depths.back() == UNetLayout::none ? 1 : 2),
                 fmt::format("up_blocks.{}.upsamplers.0.conv", level));
    }
  }
  return KeyTable(table.pairs());
}

}  // namespace sdtorch
