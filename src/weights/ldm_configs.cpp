#include "weights/ldm_configs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "core/error.hpp"
#include "weights/ldm_keys.hpp"

namespace sdtorch {
namespace {

using nlohmann::json;

[[noreturn]] void fail_tensor(const StateDict& weights, const std::string& key, const std::string& reason) {
  throw Error(ErrorKind::model,
              {.file = weights.empty() ? std::string() : weights.begin()->second.file, .place = key, .reason = reason});
}

const std::string* find_ending(const StateDict& weights, std::string_view end) {
  for (const auto& [key, weight] : weights) {
    if (key.ends_with(end)) return &key;
  }
  return nullptr;
}

int64_t heads_of(const StateDict& weights, const std::string& key, int64_t channels, const HeadRule& rule) {
  if (rule.heads > 0) return rule.heads;
  if (channels % rule.channels != 0) {
    fail_tensor(weights, key,
                fmt::format("{} channels are no multiple of {}, the family's channels an attention head", channels,
                            rule.channels));
  }
  return channels / rule.channels;
}

bool has_attention(const UNetLayout::Level& level) {
  return std::ranges::any_of(level, [](int64_t depth) { return depth != UNetLayout::none; });
}

/// One number where all are equal, as configs are written, else the list.
template <class Value>
json shortened(const std::vector<Value>& values) {
  const bool equal = std::ranges::all_of(values, [&](const Value& value) { return value == values.front(); });
  return equal ? json(values.front()) : json(values);
}

/// One level's entry of transformer_layers_per_block; the last one's first number is the middle's, too.
json down_depths(const UNetLayout& layout, size_t level) {
  const UNetLayout::Level &down = layout.down[level], &up = layout.up[layout.down.size() - 1 - level];
  if (has_attention(down)) return shortened(down);
  if (level + 1 == layout.down.size() && layout.middle_transformer != UNetLayout::none) {
    return layout.middle_transformer;
  }
  return has_attention(up) && std::ranges::count(up, up.front()) == std::ssize(up) ? json(up.front()) : json(1);
}

/// The shortest of the forms that say it: a number for all, one a level, or lists of their own for the way up.
void set_transformers(const UNetLayout& layout, json& config) {
  const size_t count = layout.down.size();
  std::vector<json> down, up;
  bool mirrored = true;
  for (size_t i = 0; i < count; ++i) down.push_back(down_depths(layout, i));
  for (size_t i = 0; i < count; ++i) {
    const json& below = down[count - 1 - i];
    up.push_back(has_attention(layout.up[i]) ? shortened(layout.up[i]) : below.is_number() ? below : json(1));
    mirrored = mirrored && below.is_number() && up.back() == below;
  }
  config["transformer_layers_per_block"] = mirrored ? shortened(down) : json(down);
  if (!mirrored) config["reverse_transformer_layers_per_block"] = up;
}

void set_block_types(const UNetLayout& layout, json& config) {
  json down = json::array(), up = json::array();
  for (const auto& level : layout.down) down.push_back(has_attention(level) ? "CrossAttnDownBlock2D" : "DownBlock2D");
  for (const auto& level : layout.up) up.push_back(has_attention(level) ? "CrossAttnUpBlock2D" : "UpBlock2D");
  config["down_block_types"] = down;
  config["up_block_types"] = up;
  if (!layout.has_middle) {
    config["mid_block_type"] = nullptr;
  } else if (layout.middle_transformer == UNetLayout::none) {
    config["mid_block_type"] = "UNetMidBlock2D";
  }
}

/// The level of each block of `input_blocks` (from its second on) or `output_blocks`, counted from the finest.
std::vector<size_t> levels_of_blocks(const UNetLayout& layout, bool down) {
  std::vector<size_t> levels(down ? 1 : 0, 0);
  const std::vector<UNetLayout::Level>& blocks = down ? layout.down : layout.up;
  for (size_t i = 0; i < blocks.size(); ++i) {
    const bool resamples = down && i + 1 < blocks.size();
    levels.insert(levels.end(), blocks[i].size() + (resamples ? 1 : 0), down ? i : blocks.size() - 1 - i);
  }
  return levels;
}

/// Where a level's first attention takes its keys from the text, too, they are as wide as that. A level that is as wide
/// itself does not tell: it is as the others are where they agree.
void set_only_cross_attention(const StateDict& weights, const UNetLayout& layout, int64_t context, json& config) {
  std::vector<bool> levels(layout.down.size(), false);
  bool told = false, everywhere = true;
  for (const bool down : {true, false}) {
    const std::vector<size_t> level_of = levels_of_blocks(layout, down);
    for (size_t block = 0; block < level_of.size(); ++block) {
      const auto found = weights.find(
          fmt::format("{}_blocks.{}.1.transformer_blocks.0.attn1.to_k.weight", down ? "input" : "output", block));
      if (found == weights.end() || found->second.tensor.dim() != 2) continue;
      const int64_t inner = found->second.tensor.size(0), width = found->second.tensor.size(1);
      if (inner == context) continue;
      told = true;
      everywhere = everywhere && width == context;
      if (width == context) levels[level_of[block]] = true;
    }
  }
  if (told && everywhere) levels.assign(levels.size(), true);
  if (std::ranges::count(levels, true) > 0) config["only_cross_attention"] = shortened(levels);
}

/// What is the same in all published models.
void set_sizes(const StateDict& weights, int64_t width, json& config) {
  constexpr int64_t usual_kernel = 3, usual_widening = 4;
  const int64_t embedding = extent_of(weights, "time_embed.0.weight", 0);
  const int64_t kernel_in = extent_of(weights, "input_blocks.0.0.weight", 3);
  const int64_t kernel_out = extent_of(weights, "out.2.weight", 3);
  if (embedding != usual_widening * width) config["time_embedding_dim"] = embedding;
  if (kernel_in != usual_kernel) config["conv_in_kernel"] = kernel_in;
  if (kernel_out != usual_kernel) config["conv_out_kernel"] = kernel_out;
}

/// Whether networks with diffusers' names can have these blocks.
void check_layout(const StateDict& weights, const UNetLayout& layout) {
  const size_t count = layout.down.size();
  const bool regular = layout.up.size() == count && std::ranges::none_of(layout.down, &UNetLayout::Level::empty) &&
                       std::ranges::none_of(layout.up, &UNetLayout::Level::empty);
  if (!regular) {
    fail_tensor(
        weights, "input_blocks",
        fmt::format("{} levels down and {} up, each with residual blocks, make no U-Net", count, layout.up.size()));
  }
  const auto mixed = [](const UNetLayout::Level& level) {
    return has_attention(level) && std::ranges::count(level, UNetLayout::none) > 0;
  };
  for (size_t i = 0; i < count; ++i) {
    const UNetLayout::Level &down = layout.down[i], &up = layout.up[count - 1 - i];
    if (up.size() != down.size() + 1) {
      fail_tensor(weights, "output_blocks",
                  fmt::format("level {} has {} residual blocks down and {} up, where one more was expected", i,
                              down.size(), up.size()));
    }
    if (mixed(down) || mixed(up)) {
      fail_tensor(weights, mixed(down) ? "input_blocks" : "output_blocks",
                  fmt::format("some residual blocks of level {} have a transformer and some have none, which is not "
                              "supported",
                              i));
    }
  }
  const UNetLayout::Level& last = layout.down.back();
  const int64_t middle = layout.middle_transformer;
  if (has_attention(last) && middle != UNetLayout::none && middle != last.front()) {
    fail_tensor(
        weights, "middle_block.1",
        fmt::format("a transformer of {} blocks after a level with {}, which is not supported", middle, last.front()));
  }
}

void set_text_sizes(const StateDict& weights, const std::string& token_key, const std::string& position_key,
                    const std::string& widening_key, json& config) {
  const int64_t width = extent_of(weights, token_key, 1);
  config["vocab_size"] = extent_of(weights, token_key, 0);
  config["hidden_size"] = width;
  config["max_position_embeddings"] = extent_of(weights, position_key, 0);
  config["intermediate_size"] = extent_of(weights, widening_key, 0);
  config["num_attention_heads"] = heads_of(weights, token_key, width, {});
}

/// What a way down has, and a whole U-Net of this layout. Returns each level's heads.
std::vector<int64_t> set_blocks(const StateDict& weights, const UNetLayout& layout, const HeadRule& rule,
                                json& config) {
  const size_t count = layout.down.size();
  check_layout(weights, layout);
  std::vector<int64_t> channels, layers, heads;
  for (size_t level = 0, block = 1; level < count; ++level) {
    const std::string key = fmt::format("input_blocks.{}.0.out_layers.3.weight", block);
    channels.push_back(extent_of(weights, key, 0));
    layers.push_back(static_cast<int64_t>(layout.down[level].size()));
    const bool attends = has_attention(layout.down[level]) || has_attention(layout.up[count - 1 - level]) ||
                         (level + 1 == count && layout.middle_transformer > 0);
    heads.push_back(attends ? heads_of(weights, key, channels.back(), rule) : 1);
    block += layout.down[level].size() + 1;
  }
  config["block_out_channels"] = channels;
  config["layers_per_block"] = shortened(layers);
  set_block_types(layout, config);
  set_transformers(layout, config);
  if (extent_of(weights, "input_blocks.1.0.emb_layers.1.weight", 0) == 2 * channels.front()) {
    config["resnet_time_scale_shift"] = "scale_shift";
  }
  config["in_channels"] = extent_of(weights, "input_blocks.0.0.weight", 1);
  if (const std::string* key = find_ending(weights, ".attn2.to_k.weight")) {
    const int64_t context = extent_of(weights, *key, 1);
    config["cross_attention_dim"] = context;
    set_only_cross_attention(weights, layout, context, config);
  }
  if (const std::string* key = find_ending(weights, ".proj_in.weight")) {
    config["use_linear_projection"] = weights.at(*key).tensor.dim() == 2;
  }
  return heads;
}

constexpr const char* unet_keys_that_no_shape_tells[] = {"act_fn",
                                                         "norm_num_groups",
                                                         "norm_eps",
                                                         "flip_sin_to_cos",
                                                         "freq_shift",
                                                         "downsample_padding",
                                                         "mid_block_scale_factor",
                                                         "upcast_attention",
                                                         "addition_embed_type",
                                                         "addition_time_embed_dim",
                                                         "attention_head_dim"};

/// The way up that a way down would have.
std::vector<UNetLayout::Level> mirrored(std::vector<UNetLayout::Level> levels) {
  for (UNetLayout::Level& level : levels) {
    if (!level.empty()) level.push_back(level.back());
  }
  std::ranges::reverse(levels);
  return levels;
}

/// The convolutions that embed a ControlNet's picture; activations stand between them.
std::string hint_key(int64_t conv) { return fmt::format("input_hint_block.{}.weight", 2 * conv); }

/// The channels of each size: those of the first convolution, and of every second one but the last, which halve.
std::vector<int64_t> hint_channels(const StateDict& weights) {
  std::vector<int64_t> channels{extent_of(weights, hint_key(0), 0)};
  for (int64_t conv = 2; weights.contains(hint_key(conv + 1)); conv += 2) {
    channels.push_back(extent_of(weights, hint_key(conv), 0));
  }
  return channels;
}

/// first_conv: the key of a level's first convolution, of how many levels.
template <class FirstConv>
json vae_config(const StateDict& weights, json config, const VaeLayout& layout, const char* attention,
                const FirstConv& first_conv) {
  if (layout.levels == 0) fail_tensor(weights, first_conv(0, 1), "missing");
  std::vector<int64_t> channels;
  for (int64_t level = 0; level < layout.levels; ++level) {
    channels.push_back(extent_of(weights, first_conv(level, layout.levels), 0));
  }
  const auto count = static_cast<size_t>(layout.levels);
  config["block_out_channels"] = channels;
  config["down_block_types"] = std::vector<std::string>(count, "DownEncoderBlock2D");
  config["up_block_types"] = std::vector<std::string>(count, "UpDecoderBlock2D");
  config["layers_per_block"] = layout.layers;
  const bool encodes = weights.contains("encoder.conv_in.weight");
  if (encodes) config["in_channels"] = extent_of(weights, "encoder.conv_in.weight", 1);
  config["out_channels"] = extent_of(weights, "decoder.conv_out.weight", 0);
  config["latent_channels"] = extent_of(weights, "decoder.conv_in.weight", 1);
  config["use_quant_conv"] = weights.contains("quant_conv.weight");
  // A decoder alone is one of a VAE that has the others.
  const bool decodes_latents = weights.contains("post_quant_conv.weight");
  if (encodes || decodes_latents) config["use_post_quant_conv"] = decodes_latents;
  config["mid_block_add_attention"] = weights.contains(attention);
  return config;
}

}  // namespace

int64_t extent_of(const StateDict& weights, const std::string& key, int64_t axis) {
  const auto found = weights.find(key);
  if (found == weights.end()) fail_tensor(weights, key, "missing");
  const at::Tensor& tensor = found->second.tensor;
  if (axis >= tensor.dim()) fail_tensor(weights, key, fmt::format("has {} axes, more were expected", tensor.dim()));
  if (tensor.size(axis) < 1) fail_tensor(weights, key, "is empty");
  return tensor.size(axis);
}

json ldm_unet_config(const StateDict& weights, json config, const HeadRule& rule, const AddedConditions& added) {
  const UNetLayout layout = ldm_unet_layout(keys_of(weights));
  const std::vector<int64_t> heads = set_blocks(weights, layout, rule, config);
  config["attention_head_dim"] = rule.heads > 0 ? json(rule.heads) : json(heads);
  set_sizes(weights, config["block_out_channels"].front().get<int64_t>(), config);
  config["out_channels"] = extent_of(weights, "out.2.weight", 0);
  if (const std::string* key = find_ending(weights, ".cond_proj.weight")) {
    config["time_cond_proj_dim"] = extent_of(weights, *key, 1);
  }
  if (config.value("addition_embed_type", json()).is_string()) {
    const int64_t width = extent_of(weights, "label_emb.0.0.weight", 1);
    config["projection_class_embeddings_input_dim"] = width;
    const int64_t embedded = width - added.pooled.value_or(width);
    if (embedded > 0 && embedded % added.numbers == 0) config["addition_time_embed_dim"] = embedded / added.numbers;
  }
  return config;
}

json ldm_controlnet_config(const StateDict& weights, const json& unet) {
  UNetLayout layout = ldm_unet_layout(keys_of(weights));
  layout.up = mirrored(layout.down);
  json config = json::object();
  for (const char* key : unet_keys_that_no_shape_tells) {
    if (unet.contains(key)) config[key] = unet[key];
  }
  set_blocks(weights, layout, {.heads = 1}, config);
  config.erase("up_block_types");
  config.erase("reverse_transformer_layers_per_block");
  json& heads = config["attention_head_dim"];
  if (heads.is_null() || (heads.is_array() && heads.size() != layout.down.size())) config.erase("attention_head_dim");
  if (weights.contains("label_emb.0.0.weight")) {
    config["projection_class_embeddings_input_dim"] = extent_of(weights, "label_emb.0.0.weight", 1);
  } else {
    config.erase("addition_embed_type");
  }
  config["conditioning_channels"] = extent_of(weights, hint_key(0), 1);
  config["conditioning_embedding_out_channels"] = hint_channels(weights);
  return config;
}

json ldm_vae_config(const StateDict& weights, json config) {
  return vae_config(weights, std::move(config), ldm_vae_layout(keys_of(weights)), "decoder.mid.attn_1.q.weight",
                    [](int64_t level, int64_t) { return fmt::format("decoder.up.{}.block.0.conv1.weight", level); });
}

json diffusers_vae_config(const StateDict& weights, json config) {
  // Blocks are numbered there as they run, from the coarsest level.
  return vae_config(weights, std::move(config), diffusers_vae_layout(keys_of(weights)),
                    "decoder.mid_block.attentions.0.to_q.weight", [](int64_t level, int64_t levels) {
                      return fmt::format("decoder.up_blocks.{}.resnets.0.conv1.weight", levels - 1 - level);
                    });
}

json clip_config(const StateDict& weights, json config) {
  set_text_sizes(weights, "embeddings.token_embedding.weight", "embeddings.position_embedding.weight",
                 "encoder.layers.0.mlp.fc1.weight", config);
  config["num_hidden_layers"] = clip_layers(keys_of(weights));
  return config;
}

json open_clip_config(const StateDict& weights, json config, int64_t layers) {
  set_text_sizes(weights, "token_embedding.weight", "positional_embedding", "transformer.resblocks.0.mlp.c_fc.weight",
                 config);
  config["num_hidden_layers"] = layers;
  if (weights.contains("text_projection")) config["projection_dim"] = extent_of(weights, "text_projection", 1);
  return config;
}

}  // namespace sdtorch
