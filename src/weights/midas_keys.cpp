#include "weights/midas_keys.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "weights/key_table.hpp"
#include "weights/ldm_configs.hpp"

namespace sdtorch {
namespace {

using nlohmann::json;

constexpr const char* their_vit = "model.pretrained.model.";
constexpr const char* their_backbone = "model.pretrained.model.patch_embed.backbone.";
constexpr const char* our_backbone = "dpt.embeddings.backbone.bit.";
constexpr int64_t features = 4, of_backbone = 2;  ///< the neck's; the others are the transformer's

constexpr std::array<const char*, 3> projections = {"query", "key", "value"};

constexpr std::pair<const char*, const char*> vit_parts[] = {
    {"cls_token", "dpt.embeddings.cls_token"},
    {"pos_embed", "dpt.embeddings.position_embeddings"},
    {"patch_embed.proj", "dpt.embeddings.projection"},
    {"norm", "dpt.layernorm"},
};

constexpr std::pair<const char*, const char*> layer_parts[] = {
    {"norm1", "layernorm_before"},     {"norm2", "layernorm_after"}, {"attn.proj", "attention.output.dense"},
    {"mlp.fc1", "intermediate.dense"}, {"mlp.fc2", "output.dense"},
};

std::string their_layer(int64_t i) { return fmt::format("{}blocks.{}.", their_vit, i); }
std::string our_layer(int64_t i) { return fmt::format("dpt.encoder.layer.{}.", i); }
std::string their_block(int64_t stage, int64_t i) {
  return fmt::format("{}stages.{}.blocks.{}", their_backbone, stage, i);
}
std::string our_block(int64_t stage, int64_t i) {
  return fmt::format("{}encoder.stages.{}.layers.{}", our_backbone, stage, i);
}

struct MidasLayout {
  int64_t layers = 0;
  std::vector<int64_t> depths{};  ///< blocks of each stage
};

/// layer, block: names of those in the keys' spelling.
template <typename Layer, typename Block>
MidasLayout layout_of(const KeySet& keys, Layer layer, Block block) {
  MidasLayout layout;
  while (keys.contains(layer(layout.layers))) ++layout.layers;
  for (int64_t stage = 0; keys.contains(block(stage, 0)); ++stage) {
    int64_t depth = 0;
    while (keys.contains(block(stage, depth))) ++depth;
    layout.depths.push_back(depth);
  }
  return layout;
}

MidasLayout their_layout(const KeySet& keys) {
  return layout_of(
      keys, [](int64_t i) { return their_layer(i) + "norm1.weight"; },
      [](int64_t stage, int64_t i) { return their_block(stage, i) + ".conv1.weight"; });
}

MidasLayout our_layout(const KeySet& keys) {
  return layout_of(
      keys, [](int64_t i) { return our_layer(i) + "layernorm_before.weight"; },
      [](int64_t stage, int64_t i) { return our_block(stage, i) + ".conv1.weight"; });
}

void add_neck(std::vector<KeyPair>& pairs) {
  for (int64_t i = 0; i < features; ++i) {
    const int64_t number = i + 1;  // theirs count from 1
    pairs.push_back({fmt::format("model.scratch.layer{}_rn", number), fmt::format("neck.convs.{}", i)});
    const std::string theirs = fmt::format("model.scratch.refinenet{}.", number);
    const std::string ours = fmt::format("neck.fusion_stage.layers.{}.", features - number);  // the coarsest first
    pairs.push_back({theirs + "out_conv", ours + "projection"});
    for (int unit : {1, 2}) {
      for (int conv : {1, 2}) {
        pairs.push_back({fmt::format("{}resConfUnit{}.conv{}", theirs, unit, conv),
                         fmt::format("{}residual_layer{}.convolution{}", ours, unit, conv)});
      }
    }
    if (i < of_backbone) continue;
    const std::string after = fmt::format("model.pretrained.act_postprocess{}.", number);
    pairs.push_back({after + "0.project.0", fmt::format("neck.reassemble_stage.readout_projects.{}.0", i)});
    pairs.push_back({after + "3", fmt::format("neck.reassemble_stage.layers.{}.projection", i)});
    pairs.push_back({after + "4", fmt::format("neck.reassemble_stage.layers.{}.resize", i)});
  }
  pairs.push_back({"model.scratch.output_conv", "head.head"});
}

/// All but the joined projections.
KeyTable midas_table(const MidasLayout& layout) {
  std::vector<KeyPair> pairs;
  for (const auto& [theirs, ours] : vit_parts) pairs.push_back({std::string(their_vit) + theirs, ours});
  pairs.push_back({std::string(their_backbone) + "stem.conv", std::string(our_backbone) + "embedder.convolution"});
  pairs.push_back({std::string(their_backbone) + "stem.norm", std::string(our_backbone) + "embedder.norm"});
  for (size_t stage = 0; stage < layout.depths.size(); ++stage) {
    const auto number = static_cast<int64_t>(stage);
    for (int64_t i = 0; i < layout.depths[stage]; ++i) {
      pairs.push_back({their_block(number, i), our_block(number, i)});
    }
  }
  for (int64_t i = 0; i < layout.layers; ++i) {
    for (const auto& [theirs, ours] : layer_parts) pairs.push_back({their_layer(i) + theirs, our_layer(i) + ours});
  }
  add_neck(pairs);
  return KeyTable(pairs);
}

std::string joined_name(int64_t layer, const char* suffix) { return their_layer(layer) + "attn.qkv" + suffix; }
std::string projection_name(int64_t layer, const char* projection, const char* suffix) {
  return fmt::format("{}attention.attention.{}{}", our_layer(layer), projection, suffix);
}

constexpr std::array<const char*, 2> suffixes = {".weight", ".bias"};

/// Into three parts, or as it is where it cannot be cut, for its shape to be reported.
void split_projections(StateDict& ours, int64_t layer, const char* suffix, const SourcedTensor& joined) {
  constexpr auto parts = static_cast<int64_t>(projections.size());
  const bool whole = joined.tensor.dim() >= 1 && joined.tensor.size(0) % parts == 0;
  for (int64_t i = 0; i < parts; ++i) {
    const int64_t rows = whole ? joined.tensor.size(0) / parts : 0;
    ours[projection_name(layer, projections.at(static_cast<size_t>(i)), suffix)] = {
        whole ? joined.tensor.narrow(0, i * rows, rows) : joined.tensor, joined.file};
  }
}

}  // namespace

json midas_config(const StateDict& weights, json config) {
  constexpr int64_t head_channels = 64, patch = 16;
  const MidasLayout layout = their_layout(keys_of(weights));
  const std::string vit = their_vit;
  const int64_t width = extent_of(weights, vit + "cls_token", 2), positions = extent_of(weights, vit + "pos_embed", 1);
  const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(positions - 1))));
  config["hidden_size"] = width;
  config["num_attention_heads"] = std::max<int64_t>(1, width / head_channels);
  config["num_hidden_layers"] = layout.layers;
  config["intermediate_size"] = extent_of(weights, their_layer(0) + "mlp.fc1.weight", 0);
  config["image_size"] = side * patch;
  config["backbone_out_indices"] = {0, 1, layout.layers * 2 / 3, layout.layers - 1};

  std::vector<int64_t> stages, neck;
  for (size_t stage = 0; stage < layout.depths.size(); ++stage) {
    stages.push_back(extent_of(weights, their_block(static_cast<int64_t>(stage), 0) + ".conv3.weight", 0));
  }
  for (int64_t i = 1; i <= features; ++i) {
    neck.push_back(extent_of(weights, fmt::format("model.scratch.layer{}_rn.weight", i), 1));
  }
  json& backbone = config["backbone_config"];
  backbone["depths"] = layout.depths;
  backbone["hidden_sizes"] = stages;
  backbone["embedding_size"] = extent_of(weights, std::string(their_backbone) + "stem.conv.weight", 0);
  config["backbone_featmap_shape"] = {1, stages.empty() ? 0 : stages.back(), side, side};
  config["neck_hidden_sizes"] = neck;
  config["fusion_hidden_size"] = extent_of(weights, "model.scratch.layer1_rn.weight", 0);
  return config;
}

StateDict depth_estimator_from_midas(StateDict weights, const std::string& prefix) {
  const MidasLayout layout = their_layout(keys_of(weights));
  const KeyTable table = midas_table(layout);
  StateDict ours;
  for (int64_t i = 0; i < layout.layers; ++i) {
    for (const char* suffix : suffixes) {
      const auto joined = weights.find(joined_name(i, suffix));
      if (joined == weights.end()) continue;
      split_projections(ours, i, suffix, joined->second);
      weights.erase(joined);
    }
  }
  const std::string classifier = std::string(their_vit) + "head.";
  for (auto& [key, weight] : weights) {
    if (!key.starts_with(classifier)) ours.emplace(table.to_ours(key).value_or(prefix + key), std::move(weight));
  }
  return ours;
}

std::map<std::string, ForeignTensor> depth_estimator_to_midas(const KeySet& keys) {
  const MidasLayout layout = our_layout(keys);
  const KeyTable table = midas_table(layout);
  std::map<std::string, ForeignTensor> recipes;
  KeySet joined;
  for (int64_t i = 0; i < layout.layers; ++i) {
    for (const char* suffix : suffixes) {
      ForeignTensor& recipe = recipes[joined_name(i, suffix)];
      for (const char* projection : projections) recipe.sources.push_back(projection_name(i, projection, suffix));
      joined.insert(recipe.sources.begin(), recipe.sources.end());
    }
  }
  for (const std::string& key : keys) {
    if (joined.contains(key)) continue;
    const auto name = table.to_theirs(key);
    if (!name) throw Error(ErrorKind::bug, {.place = key, .reason = "a weight without a foreign name"});
    recipes[*name] = {.sources = {key}};
  }
  return recipes;
}

}  // namespace sdtorch
