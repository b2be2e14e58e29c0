#include "sdtorch/cli/model_recipe.hpp"

#include <fmt/format.h>

#include "sdtorch/core/error.hpp"

namespace sdtorch {
namespace {

using nlohmann::json;

constexpr const char* model_index = R"({
  "_class_name": "StableDiffusionPipeline",
  "feature_extractor": [null, null],
  "requires_safety_checker": false,
  "safety_checker": [null, null],
  "scheduler": ["diffusers", ""],
  "text_encoder": ["transformers", "CLIPTextModel"],
  "tokenizer": ["transformers", "CLIPTokenizer"],
  "unet": ["diffusers", "UNet2DConditionModel"],
  "vae": ["diffusers", "AutoencoderKL"]
})";

constexpr const char* sd1_scheduler = R"({
  "_class_name": "PNDMScheduler",
  "_diffusers_version": "0.6.0",
  "beta_end": 0.012,
  "beta_schedule": "scaled_linear",
  "beta_start": 0.00085,
  "clip_sample": false,
  "num_train_timesteps": 1000,
  "set_alpha_to_one": false,
  "skip_prk_steps": true,
  "steps_offset": 1,
  "trained_betas": null
})";

constexpr const char* sd2_scheduler = R"({
  "_class_name": "DDIMScheduler",
  "_diffusers_version": "0.8.0",
  "beta_end": 0.012,
  "beta_schedule": "scaled_linear",
  "beta_start": 0.00085,
  "clip_sample": false,
  "num_train_timesteps": 1000,
  "prediction_type": "v_prediction",
  "set_alpha_to_one": false,
  "skip_prk_steps": true,
  "steps_offset": 1,
  "trained_betas": null
})";

constexpr const char* sd1_text_encoder = R"({
  "architectures": ["CLIPTextModel"],
  "attention_dropout": 0.0,
  "bos_token_id": 0,
  "dropout": 0.0,
  "eos_token_id": 2,
  "hidden_act": "quick_gelu",
  "hidden_size": 768,
  "initializer_factor": 1.0,
  "initializer_range": 0.02,
  "intermediate_size": 3072,
  "layer_norm_eps": 1e-05,
  "max_position_embeddings": 77,
  "model_type": "clip_text_model",
  "num_attention_heads": 12,
  "num_hidden_layers": 12,
  "pad_token_id": 1,
  "projection_dim": 768,
  "vocab_size": 49408
})";

/// What SD 2.1 has otherwise than SD 1.5.
constexpr const char* sd2_text_encoder_changes = R"({
  "hidden_act": "gelu",
  "hidden_size": 1024,
  "intermediate_size": 4096,
  "num_attention_heads": 16,
  "num_hidden_layers": 23,
  "projection_dim": 512
})";

constexpr const char* sd1_unet = R"({
  "_class_name": "UNet2DConditionModel",
  "_diffusers_version": "0.6.0",
  "act_fn": "silu",
  "attention_head_dim": 8,
  "block_out_channels": [320, 640, 1280, 1280],
  "center_input_sample": false,
  "cross_attention_dim": 768,
  "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
  "downsample_padding": 1,
  "flip_sin_to_cos": true,
  "freq_shift": 0,
  "in_channels": 4,
  "layers_per_block": 2,
  "mid_block_scale_factor": 1,
  "norm_eps": 1e-05,
  "norm_num_groups": 32,
  "out_channels": 4,
  "sample_size": 64,
  "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]
})";

constexpr const char* sd2_unet_changes = R"({
  "_diffusers_version": "0.10.0.dev0",
  "attention_head_dim": [5, 10, 20, 20],
  "cross_attention_dim": 1024,
  "dual_cross_attention": false,
  "only_cross_attention": false,
  "sample_size": 96,
  "upcast_attention": true,
  "use_linear_projection": true
})";

constexpr const char* vae = R"({
  "_class_name": "AutoencoderKL",
  "_diffusers_version": "0.6.0",
  "act_fn": "silu",
  "block_out_channels": [128, 256, 512, 512],
  "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"],
  "in_channels": 3,
  "latent_channels": 4,
  "layers_per_block": 2,
  "norm_num_groups": 32,
  "out_channels": 3,
  "sample_size": 512,
  "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"]
})";

constexpr const char* tokenizer_config = R"({
  "add_prefix_space": false,
  "bos_token": "<|startoftext|>",
  "do_lower_case": true,
  "eos_token": "<|endoftext|>",
  "errors": "replace",
  "model_max_length": 77,
  "pad_token": "<|endoftext|>",
  "tokenizer_class": "CLIPTokenizer",
  "unk_token": "<|endoftext|>"
})";

// Tiny models: head counts as in the full ones' meaning, eight everywhere for SD 1.5 and by width for SD 2.1.
constexpr const char* tiny_text_encoder_changes = R"({
  "bos_token_id": 512,
  "eos_token_id": 513,
  "hidden_size": 32,
  "intermediate_size": 64,
  "num_attention_heads": 4,
  "num_hidden_layers": 3,
  "pad_token_id": 513,
  "projection_dim": 32,
  "vocab_size": 514
})";

// With a version before 0.9 diffusers takes a sample_size below 64 for a mistake, and for 64.
constexpr const char* tiny_unet_changes = R"({
  "_diffusers_version": "0.10.0.dev0",
  "block_out_channels": [16, 32, 32, 32],
  "cross_attention_dim": 32,
  "layers_per_block": 1,
  "norm_num_groups": 8,
  "sample_size": 8
})";

constexpr const char* tiny_sd2_unet_changes = R"({"attention_head_dim": [1, 2, 2, 2]})";

constexpr const char* tiny_vae_changes = R"({
  "block_out_channels": [8, 16, 16, 16],
  "layers_per_block": 1,
  "norm_num_groups": 4,
  "sample_size": 64
})";

[[noreturn]] void refuse(const char* flag, std::string_view value, const char* choices) {
  throw Error(ErrorKind::usage, {.file = flag, .reason = fmt::format("'{}' is not known", value), .hint = choices});
}

void change(json& config, const char* changes) { config.merge_patch(json::parse(changes)); }

}  // namespace

ModelRecipe model_recipe(std::string_view family, std::string_view size) {
  if (family != "sd1" && family != "sd2") refuse("--family", family, "there are sd1 and sd2");
  if (size != "tiny" && size != "full") refuse("--size", size, "there are tiny and full");
  const bool sd2 = family == "sd2", tiny = size == "tiny";

  ModelRecipe recipe{
      .model_index = json::parse(model_index),
      .scheduler = json::parse(sd2 ? sd2_scheduler : sd1_scheduler),
      .tokenizer_config = json::parse(tokenizer_config),
      .special_tokens_map = json::object(),
      .text_encoder = json::parse(sd1_text_encoder),
      .unet = json::parse(sd1_unet),
      .vae = json::parse(vae),
  };
  recipe.model_index["scheduler"][1] = recipe.scheduler["_class_name"];
  if (sd2) {
    recipe.tokenizer_config["pad_token"] = "!";
    change(recipe.text_encoder, sd2_text_encoder_changes);
    change(recipe.unet, sd2_unet_changes);
    recipe.unet["num_class_embeds"] = nullptr;  // not in the patch: there null means "without this key"
    recipe.vae["sample_size"] = 768;
  }
  for (const char* token : {"bos_token", "eos_token", "pad_token", "unk_token"}) {
    recipe.special_tokens_map[token] = recipe.tokenizer_config[token];
  }
  if (tiny) {
    change(recipe.text_encoder, tiny_text_encoder_changes);
    change(recipe.unet, tiny_unet_changes);
    if (sd2) change(recipe.unet, tiny_sd2_unet_changes);
    change(recipe.vae, tiny_vae_changes);
  }
  return recipe;
}

}  // namespace sdtorch
