#include "recipes/model_recipe.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "core/suggest.hpp"
#include "recipes/multilingual_recipe.hpp"

namespace sdtorch {
namespace {

using nlohmann::json;

/// A published model, and what its configs have otherwise than its family's.
struct FamilyRow {
  std::string_view name;
  Family family;
  Task task = Task::text_to_image;
  const char* prediction = "epsilon";
  bool consistency = false;
  const char* scheduler_changes = "{}";
  const char* unet_changes = "{}";
  const char* tiny_unet_changes = "{}";  ///< of a tiny model beside them
};

constexpr const char* few_steps = R"({"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing"})";
constexpr const char* few_noisy_steps =
    R"({"_class_name": "EulerAncestralDiscreteScheduler", "timestep_spacing": "trailing"})";

constexpr const char* zero_snr = R"({"rescale_betas_zero_snr": true, "timestep_spacing": "trailing"})";

// Distilled SDXL: fewer blocks here and there, and one residual block in the middle.
constexpr const char* ssd_1b_unet = R"({
  "mid_block_type": "UNetMidBlock2D",
  "transformer_layers_per_block": [1, 2, 4],
  "reverse_transformer_layers_per_block": [[4, 4, 10], [2, 1, 1], 1]
})";
constexpr const char* tiny_ssd_1b_unet = R"({
  "transformer_layers_per_block": [1, 2, 1],
  "reverse_transformer_layers_per_block": [[1, 3], [2, 1], 1]
})";
constexpr const char* vega_unet = R"({"mid_block_type": "UNetMidBlock2D", "transformer_layers_per_block": [1, 1, 2]})";

constexpr FamilyRow families[] = {
    {"sd1", Family::sd1},
    {"sd2", Family::sd2, Task::text_to_image, "v_prediction"},
    {"sd2-base", Family::sd2},
    {"sd2-zero-snr", Family::sd2, Task::text_to_image, "v_prediction", false, zero_snr},
    {"inpainting", Family::sd1, Task::inpainting},
    {"sd2-inpainting", Family::sd2, Task::inpainting},
    {"depth", Family::sd2, Task::depth},
    {"instruct-pix2pix", Family::sd1, Task::instruct_pix2pix},
    {"sdxl-inpainting", Family::sdxl, Task::inpainting},
    {"sdxl-instruct-pix2pix", Family::sdxl, Task::instruct_pix2pix},
    {"lcm", Family::sd1, Task::text_to_image, "epsilon", true},
    {"sd-turbo", Family::sd2, Task::text_to_image, "epsilon", false, few_steps},
    {"sdxl", Family::sdxl},
    {"sdxl-refiner", Family::sdxl_refiner},
    {"sdxl-v", Family::sdxl, Task::text_to_image, "v_prediction", false, R"({"rescale_betas_zero_snr": true})"},
    {"lcm-sdxl", Family::sdxl, Task::text_to_image, "epsilon", true},
    {"sdxl-turbo", Family::sdxl, Task::text_to_image, "epsilon", false, few_noisy_steps},
    {.name = "ssd-1b", .family = Family::sdxl, .unet_changes = ssd_1b_unet, .tiny_unet_changes = tiny_ssd_1b_unet},
    {.name = "segmind-vega", .family = Family::sdxl, .unet_changes = vega_unet},
    {"alt", Family::sd1},
    {"alt-m18", Family::sd1},
    {"japanese", Family::sd1},
};

constexpr int64_t guidance_width = 256;  // of the published consistency models' guidance embedding

// What tiny models have otherwise. 64 channels are one head in SD 2.x, SDXL and every text encoder.
constexpr const char* tiny_text_encoder = R"({
  "hidden_size": 64,
  "intermediate_size": 128,
  "num_attention_heads": 1,
  "num_hidden_layers": 3,
  "projection_dim": 64
})";

// With a version before 0.9 diffusers takes a sample_size below 64 for a mistake, and for 64.
constexpr const char* tiny_sd1_unet = R"({
  "_diffusers_version": "0.10.0.dev0",
  "block_out_channels": [32, 32, 64],
  "cross_attention_dim": 64,
  "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
  "layers_per_block": 1,
  "sample_size": 8,
  "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]
})";

constexpr const char* tiny_sd2_unet = R"({
  "attention_head_dim": [1, 1],
  "block_out_channels": [64, 64],
  "cross_attention_dim": 64,
  "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
  "layers_per_block": 1,
  "sample_size": 8,
  "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"]
})";

constexpr const char* tiny_sdxl_unet = R"({
  "addition_time_embed_dim": 32,
  "attention_head_dim": [1, 1, 1],
  "block_out_channels": [64, 64, 64],
  "cross_attention_dim": 128,
  "layers_per_block": 1,
  "projection_class_embeddings_input_dim": 256,
  "sample_size": 8,
  "transformer_layers_per_block": [1, 1, 2]
})";

constexpr const char* tiny_refiner_unet = R"({
  "attention_head_dim": [1, 1, 1, 1],
  "block_out_channels": [64, 64, 64, 64],
  "cross_attention_dim": 64,
  "projection_class_embeddings_input_dim": 224,
  "transformer_layers_per_block": 1
})";

constexpr const char* tiny_vae = R"({
  "block_out_channels": [32, 32, 32, 32],
  "layers_per_block": 1,
  "sample_size": 64
})";

constexpr const char* tiny_depth_estimator = R"({
  "backbone_config": {"depths": [1, 1, 1], "embedding_size": 32, "hidden_sizes": [128, 128, 128]},
  "backbone_featmap_shape": [1, 128, 4, 4],
  "backbone_out_indices": [0, 1, 2, 3],
  "fusion_hidden_size": 32,
  "hidden_size": 64,
  "image_size": 64,
  "intermediate_size": 128,
  "neck_hidden_sizes": [128, 128, 32, 32],
  "num_attention_heads": 1,
  "num_hidden_layers": 4
})";

void change(json& config, const char* changes) { config.merge_patch(json::parse(changes)); }

void make_tiny(ModelRecipe& recipe, int64_t vocabulary) {
  switch (recipe.kind.family) {
    case Family::sd1:
      change(recipe.unet, tiny_sd1_unet);
      break;
    case Family::sd2:
      change(recipe.unet, tiny_sd2_unet);
      break;
    case Family::sdxl:
    case Family::sdxl_refiner:
      change(recipe.unet, tiny_sdxl_unet);
      if (recipe.kind.family == Family::sdxl_refiner) change(recipe.unet, tiny_refiner_unet);
      break;
  }
  change(recipe.vae, tiny_vae);
  for (auto& [name, config] : recipe.text_encoders) {
    change(config, tiny_text_encoder);
    config["vocab_size"] = vocabulary;
    config["bos_token_id"] = vocabulary - 2;
    config["eos_token_id"] = vocabulary - 1;
    config["pad_token_id"] = vocabulary - 1;
  }
}

void make_multilingual(ModelRecipe& recipe, const MultilingualRecipe& parts) {
  recipe.model_index.merge_patch(parts.model_index_changes);
  recipe.text_encoders["text_encoder"] = parts.text_encoder;
  recipe.tokenizers["tokenizer"] = parts.tokenizer_config;
  recipe.vocabularies["tokenizer"] = parts.tokenizer;
}

void add_depth_estimator(ModelRecipe& recipe, bool tiny) {
  recipe.depth_estimator = published_config(recipe.kind, "depth_estimator");
  recipe.depth_preparation = published_config(recipe.kind, "feature_extractor");
  if (!tiny) return;
  change(recipe.depth_estimator, tiny_depth_estimator);
  const json& side = recipe.depth_estimator["image_size"];
  recipe.depth_preparation["size"] = {{"height", side}, {"width", side}};
}

}  // namespace

std::vector<std::string> recipe_families() {
  std::vector<std::string> names;
  for (const FamilyRow& row : families) names.emplace_back(row.name);
  return names;
}

ModelRecipe model_recipe(std::string_view family, std::string_view size, int64_t vocabulary) {
  check_choice("--family", family, recipe_families());
  check_choice("--size", size, {"tiny", "full"});
  const auto* row = std::ranges::find(families, family, &FamilyRow::name);

  ModelRecipe recipe;
  recipe.kind = {
      .family = row->family, .task = row->task, .prediction = row->prediction, .consistency = row->consistency};
  const auto published = [&](std::string_view name) { return published_config(recipe.kind, name); };
  recipe.model_index = published("model_index");
  recipe.scheduler = published("scheduler");
  change(recipe.scheduler, row->scheduler_changes);
  recipe.model_index["scheduler"][1] = recipe.scheduler["_class_name"];
  recipe.unet = published("unet");
  recipe.vae = published("vae");
  for (const std::string& encoder : text_encoders_of(row->family)) {
    const std::string tokenizer = encoder == "text_encoder" ? "tokenizer" : "tokenizer_2";
    recipe.text_encoders[encoder] = published(encoder);
    recipe.tokenizers[tokenizer] = published(tokenizer);
  }
  if (size == "tiny") make_tiny(recipe, vocabulary);
  change(recipe.unet, row->unet_changes);
  if (size == "tiny") change(recipe.unet, row->tiny_unet_changes);
  if (is_multilingual(family)) {
    make_multilingual(recipe, multilingual_recipe(family, size == "tiny", recipe.text_encoders.at("text_encoder")));
  }
  if (row->task == Task::depth) add_depth_estimator(recipe, size == "tiny");
  if (row->consistency) recipe.unet["time_cond_proj_dim"] = guidance_width;
  return recipe;
}

}  // namespace sdtorch
