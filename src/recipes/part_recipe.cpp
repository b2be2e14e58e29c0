#include "recipes/part_recipe.hpp"

#include <algorithm>
#include <array>

#include "core/suggest.hpp"
#include "recipes/model_recipe.hpp"

namespace sdtorch {
namespace {

using nlohmann::json;

struct PartRow {
  std::string_view name;
  PartKind kind;
  std::string_view model;     ///< the family that it steers
  const char* config = "{}";  ///< of a T2I-Adapter
  const char* tiny = "{}";    ///< what a tiny one has otherwise
};

constexpr const char* full_adapter = R"({"adapter_type": "full_adapter", "channels": [320, 640, 1280, 1280]})";
constexpr const char* light_adapter =
    R"({"adapter_type": "light_adapter", "channels": [320, 640, 1280], "num_res_blocks": 4})";
constexpr const char* full_adapter_xl =
    R"({"adapter_type": "full_adapter_xl", "channels": [320, 640, 1280, 1280], "downscale_factor": 16})";

// A light one of SDXL cannot be: its features are not of the sizes of the U-Net's blocks.
constexpr PartRow rows[] = {
    {"controlnet-sd1", PartKind::controlnet, "sd1"},
    {"controlnet-sd2", PartKind::controlnet, "sd2"},
    {"controlnet-sdxl", PartKind::controlnet, "sdxl"},
    {"t2i-adapter-sd1", PartKind::t2i_adapter, "sd1", full_adapter, R"({"channels": [32, 32, 64]})"},
    {"t2i-adapter-light-sd1", PartKind::t2i_adapter, "sd1", light_adapter, R"({"channels": [32]})"},
    {"t2i-adapter-sdxl", PartKind::t2i_adapter, "sdxl", full_adapter_xl, R"({"channels": [64, 64, 64, 64]})"},
    {"depth-estimator", PartKind::depth_estimator, "depth"},
    {"classifier", PartKind::classifier, "sd1"},
};

constexpr const char* adapter = R"({
  "_class_name": "T2IAdapter",
  "_diffusers_version": "0.19.0.dev0",
  "downscale_factor": 8,
  "in_channels": 3,
  "num_res_blocks": 2
})";

// None was published for latents: a U-Net's way down, and one of the built-in model's size.
constexpr const char* classifier = R"({
  "_class_name": "LatentClassifier",
  "in_channels": 4,
  "block_out_channels": [128, 256, 512],
  "layers_per_block": 2,
  "norm_num_groups": 32,
  "classes": ["first", "second", "third"]
})";
constexpr const char* tiny_classifier =
    R"({"block_out_channels": [32, 64], "layers_per_block": 1, "norm_num_groups": 8})";

/// What a ControlNet's config says as the U-Net's does.
constexpr std::array copied_keys = {"act_fn",
                                    "addition_embed_type",
                                    "addition_time_embed_dim",
                                    "attention_head_dim",
                                    "block_out_channels",
                                    "cross_attention_dim",
                                    "down_block_types",
                                    "downsample_padding",
                                    "flip_sin_to_cos",
                                    "freq_shift",
                                    "in_channels",
                                    "layers_per_block",
                                    "mid_block_scale_factor",
                                    "norm_eps",
                                    "norm_num_groups",
                                    "only_cross_attention",
                                    "projection_class_embeddings_input_dim",
                                    "transformer_layers_per_block",
                                    "upcast_attention",
                                    "use_linear_projection"};

json controlnet_config(const json& unet, bool tiny) {
  json config = {{"_class_name", "ControlNetModel"},
                 {"_diffusers_version", "0.19.0.dev0"},
                 {"controlnet_conditioning_channel_order", "rgb"}};
  config["conditioning_embedding_out_channels"] = tiny ? json{4, 8, 8, 16} : json{16, 32, 96, 256};
  for (const char* key : copied_keys) {
    if (unet.contains(key)) config[key] = unet[key];
  }
  return config;
}

json changed(const char* config, const char* changes) {
  json made = json::parse(config);
  made.merge_patch(json::parse(changes));
  return made;
}

}  // namespace

std::vector<std::string> part_names() {
  std::vector<std::string> names;
  for (const PartRow& row : rows) names.emplace_back(row.name);
  return names;
}

PartRecipe part_recipe(std::string_view name, std::string_view size) {
  check_choice("--family", name, part_names());
  const auto* row = std::ranges::find(rows, name, &PartRow::name);
  const ModelRecipe model = model_recipe(row->model, size);
  const bool tiny = size == "tiny";
  PartRecipe recipe{.kind = row->kind};
  switch (row->kind) {
    case PartKind::controlnet:
      recipe.config = controlnet_config(model.unet, tiny);
      break;
    case PartKind::t2i_adapter:
      recipe.config = changed(adapter, row->config);
      if (tiny) recipe.config.merge_patch(json::parse(row->tiny));
      break;
    case PartKind::depth_estimator:
      recipe.config = model.depth_estimator;
      recipe.preparation = model.depth_preparation;
      break;
    case PartKind::classifier:
      recipe.config = changed(classifier, tiny ? tiny_classifier : "{}");
      break;
  }
  return recipe;
}

}  // namespace sdtorch
