#include "weights/families.hpp"

#include <fmt/format.h>

namespace sdtorch {
namespace {

using nlohmann::json;

constexpr const char* sd_index = R"({
  "_class_name": "StableDiffusionPipeline",
  "_diffusers_version": "0.6.0",
  "feature_extractor": [null, null],
  "requires_safety_checker": false,
  "safety_checker": [null, null],
  "scheduler": ["diffusers", ""],
  "text_encoder": ["transformers", "CLIPTextModel"],
  "tokenizer": ["transformers", "CLIPTokenizer"],
  "unet": ["diffusers", "UNet2DConditionModel"],
  "vae": ["diffusers", "AutoencoderKL"]
})";

constexpr const char* sdxl_index = R"({
  "_class_name": "StableDiffusionXLPipeline",
  "_diffusers_version": "0.19.0.dev0",
  "force_zeros_for_empty_prompt": true,
  "add_watermarker": null,
  "scheduler": ["diffusers", ""],
  "text_encoder": ["transformers", "CLIPTextModel"],
  "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
  "tokenizer": ["transformers", "CLIPTokenizer"],
  "tokenizer_2": ["transformers", "CLIPTokenizer"],
  "unet": ["diffusers", "UNet2DConditionModel"],
  "vae": ["diffusers", "AutoencoderKL"]
})";

constexpr const char* sdxl_refiner_index = R"({
  "_class_name": "StableDiffusionXLImg2ImgPipeline",
  "_diffusers_version": "0.19.0.dev0",
  "force_zeros_for_empty_prompt": false,
  "add_watermarker": null,
  "requires_aesthetics_score": true,
  "scheduler": ["diffusers", ""],
  "text_encoder": [null, null],
  "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
  "tokenizer": [null, null],
  "tokenizer_2": ["transformers", "CLIPTokenizer"],
  "unet": ["diffusers", "UNet2DConditionModel"],
  "vae": ["diffusers", "AutoencoderKL"]
})";

constexpr const char* pndm_scheduler = R"({
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

constexpr const char* ddim_scheduler = R"({
  "_class_name": "DDIMScheduler",
  "_diffusers_version": "0.8.0",
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

constexpr const char* euler_scheduler = R"({
  "_class_name": "EulerDiscreteScheduler",
  "_diffusers_version": "0.19.0.dev0",
  "beta_end": 0.012,
  "beta_schedule": "scaled_linear",
  "beta_start": 0.00085,
  "clip_sample": false,
  "interpolation_type": "linear",
  "num_train_timesteps": 1000,
  "prediction_type": "epsilon",
  "sample_max_value": 1.0,
  "set_alpha_to_one": false,
  "skip_prk_steps": true,
  "steps_offset": 1,
  "timestep_spacing": "leading",
  "trained_betas": null,
  "use_karras_sigmas": false
})";

constexpr const char* euler_ancestral_scheduler = R"({
  "_class_name": "EulerAncestralDiscreteScheduler",
  "_diffusers_version": "0.12.0.dev0",
  "beta_end": 0.012,
  "beta_schedule": "scaled_linear",
  "beta_start": 0.00085,
  "num_train_timesteps": 1000,
  "prediction_type": "epsilon",
  "trained_betas": null
})";

constexpr const char* lcm_scheduler = R"({
  "_class_name": "LCMScheduler",
  "_diffusers_version": "0.22.0.dev0",
  "beta_end": 0.012,
  "beta_schedule": "scaled_linear",
  "beta_start": 0.00085,
  "clip_sample": true,
  "clip_sample_range": 1.0,
  "dynamic_thresholding_ratio": 0.995,
  "num_train_timesteps": 1000,
  "original_inference_steps": 50,
  "prediction_type": "epsilon",
  "rescale_betas_zero_snr": false,
  "sample_max_value": 1.0,
  "set_alpha_to_one": true,
  "steps_offset": 0,
  "thresholding": false,
  "timestep_spacing": "leading",
  "trained_betas": null
})";

/// CLIP ViT-L/14, of SD 1.x and, first, of SDXL.
constexpr const char* clip_l = R"({
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

/// What OpenCLIP's ViT-H/14 in SD 2.x has otherwise.
constexpr const char* clip_h_changes = R"({
  "hidden_act": "gelu",
  "hidden_size": 1024,
  "intermediate_size": 4096,
  "num_attention_heads": 16,
  "num_hidden_layers": 23,
  "projection_dim": 512
})";

/// What OpenCLIP's ViT-bigG/14, SDXL's second, has otherwise.
constexpr const char* clip_g_changes = R"({
  "architectures": ["CLIPTextModelWithProjection"],
  "hidden_act": "gelu",
  "hidden_size": 1280,
  "intermediate_size": 5120,
  "num_attention_heads": 20,
  "num_hidden_layers": 32,
  "projection_dim": 1280
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
  "upcast_attention": true,
  "use_linear_projection": true
})";

constexpr const char* sdxl_unet_changes = R"({
  "_diffusers_version": "0.19.0.dev0",
  "addition_embed_type": "text_time",
  "addition_time_embed_dim": 256,
  "attention_head_dim": [5, 10, 20],
  "block_out_channels": [320, 640, 1280],
  "cross_attention_dim": 2048,
  "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
  "projection_class_embeddings_input_dim": 2816,
  "sample_size": 128,
  "transformer_layers_per_block": [1, 2, 10],
  "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
  "use_linear_projection": true
})";

constexpr const char* sdxl_refiner_unet_changes = R"({
  "attention_head_dim": [6, 12, 24, 24],
  "block_out_channels": [384, 768, 1536, 1536],
  "cross_attention_dim": 1280,
  "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
  "projection_class_embeddings_input_dim": 2560,
  "transformer_layers_per_block": 4,
  "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"]
})";

constexpr const char* sd_vae = R"({
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
  "scaling_factor": 0.18215,
  "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"]
})";

constexpr const char* sdxl_vae_changes = R"({
  "_diffusers_version": "0.19.0.dev0",
  "force_upcast": true,
  "sample_size": 1024,
  "scaling_factor": 0.13025
})";

constexpr const char* clip_tokenizer = R"({
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

/// DPT-Hybrid of MiDaS 3, as the model of SD 2 for depth has it (Ranftl et al. 2021).
constexpr const char* depth_estimator = R"({
  "architectures": ["DPTForDepthEstimation"],
  "backbone_config": {
    "depths": [3, 4, 9],
    "embedding_dynamic_padding": true,
    "global_padding": "same",
    "layer_type": "bottleneck",
    "model_type": "bit",
    "out_features": ["stage1", "stage2", "stage3"]
  },
  "backbone_featmap_shape": [1, 1024, 24, 24],
  "backbone_out_indices": [0, 1, 8, 11],
  "fusion_hidden_size": 256,
  "hidden_act": "gelu",
  "hidden_size": 768,
  "image_size": 384,
  "intermediate_size": 3072,
  "is_hybrid": true,
  "layer_norm_eps": 1e-12,
  "model_type": "dpt",
  "neck_hidden_sizes": [256, 512, 768, 768],
  "num_attention_heads": 12,
  "num_channels": 3,
  "num_hidden_layers": 12,
  "patch_size": 16,
  "qkv_bias": true,
  "readout_type": "project",
  "reassemble_factors": [1, 1, 1, 0.5]
})";

constexpr const char* depth_preparation = R"({
  "do_normalize": true,
  "do_rescale": true,
  "do_resize": true,
  "ensure_multiple_of": 1,
  "image_mean": [0.5, 0.5, 0.5],
  "image_processor_type": "DPTImageProcessor",
  "image_std": [0.5, 0.5, 0.5],
  "keep_aspect_ratio": false,
  "resample": 2,
  "rescale_factor": 0.00392156862745098,
  "size": {"height": 384, "width": 384}
})";

bool is_xl(Family family) { return family == Family::sdxl || family == Family::sdxl_refiner; }

/// SD 2.x's first edition has 512 pixels and predicts epsilon, its second has 768 and predicts v.
bool is_large_sd2(const ModelKind& kind) {
  return kind.family == Family::sd2 && kind.task == Task::text_to_image && kind.prediction == "v_prediction";
}

json changed(json config, const char* changes) {
  config.merge_patch(json::parse(changes));
  return config;
}

json scheduler(const ModelKind& kind) {
  json config = json::parse(kind.consistency                      ? lcm_scheduler
                            : is_xl(kind.family)                  ? euler_scheduler
                            : kind.task == Task::instruct_pix2pix ? euler_ancestral_scheduler
                            : is_large_sd2(kind)                  ? ddim_scheduler
                                                                  : pndm_scheduler);
  if (kind.prediction != "epsilon" || kind.family == Family::sd2) config["prediction_type"] = kind.prediction;
  return config;
}

std::string pipeline_class(const ModelKind& kind) {
  if (kind.family == Family::sdxl_refiner) return "StableDiffusionXLImg2ImgPipeline";
  if (kind.consistency && !is_xl(kind.family)) return "LatentConsistencyModelPipeline";
  const std::string start = is_xl(kind.family) ? "StableDiffusionXL" : "StableDiffusion";
  switch (kind.task) {
    case Task::inpainting:
      return start + "InpaintPipeline";
    case Task::depth:
      return start + "Depth2ImgPipeline";
    case Task::instruct_pix2pix:
      return start + "InstructPix2PixPipeline";
    case Task::text_to_image:
      break;
  }
  return start + "Pipeline";
}

json index(const ModelKind& kind) {
  json config = json::parse(kind.family == Family::sdxl           ? sdxl_index
                            : kind.family == Family::sdxl_refiner ? sdxl_refiner_index
                                                                  : sd_index);
  config["_class_name"] = pipeline_class(kind);
  config["scheduler"][1] = scheduler(kind)["_class_name"];
  if (kind.task == Task::depth) {
    config["depth_estimator"] = {"transformers", "DPTForDepthEstimation"};
    config["feature_extractor"] = {"transformers", "DPTImageProcessor"};
  }
  return config;
}

json unet(const ModelKind& kind) {
  json config = json::parse(sd1_unet);
  if (kind.family == Family::sd2) config = changed(std::move(config), sd2_unet_changes);
  if (is_xl(kind.family)) config = changed(std::move(config), sdxl_unet_changes);
  if (kind.family == Family::sdxl_refiner) config = changed(std::move(config), sdxl_refiner_unet_changes);
  if (is_large_sd2(kind)) config["sample_size"] = 96;
  const auto latent = config["out_channels"].get<int64_t>();
  config["in_channels"] = latent + extra_channels(kind.task, latent);
  return config;
}

json vae(const ModelKind& kind) {
  json config = json::parse(sd_vae);
  if (is_xl(kind.family)) return changed(std::move(config), sdxl_vae_changes);
  if (is_large_sd2(kind)) config["sample_size"] = 768;
  return config;
}

json tokenizer(bool padded_with_zeros) {
  json config = json::parse(clip_tokenizer);
  if (padded_with_zeros) config["pad_token"] = "!";  // OpenCLIP pads with 0, and that is the token's id
  return config;
}

}  // namespace

std::string_view name_of(Family family) {
  switch (family) {
    case Family::sd1:
      return "Stable Diffusion 1.x";
    case Family::sd2:
      return "Stable Diffusion 2.x";
    case Family::sdxl:
      return "Stable Diffusion XL base";
    case Family::sdxl_refiner:
      break;
  }
  return "Stable Diffusion XL refiner";
}

std::string_view name_of(Task task) {
  switch (task) {
    case Task::inpainting:
      return "inpainting";
    case Task::depth:
      return "depth to image";
    case Task::instruct_pix2pix:
      return "InstructPix2Pix";
    case Task::text_to_image:
      break;
  }
  return "text to image";
}

int64_t extra_channels(Task task, int64_t latent_channels) {
  switch (task) {
    case Task::inpainting:
      return 1 + latent_channels;
    case Task::depth:
      return 1;
    case Task::instruct_pix2pix:
      return latent_channels;
    case Task::text_to_image:
      break;
  }
  return 0;
}

std::vector<std::string> text_encoders_of(Family family) {
  if (family == Family::sdxl) return {"text_encoder", "text_encoder_2"};
  return {family == Family::sdxl_refiner ? "text_encoder_2" : "text_encoder"};
}

int64_t unet_heads(Family family) { return family == Family::sd1 ? 8 : 0; }

json published_config(const ModelKind& kind, std::string_view component) {
  const bool first = kind.family != Family::sdxl_refiner, second = is_xl(kind.family);
  if (component == "model_index") return index(kind);
  if (component == "scheduler") return scheduler(kind);
  if (component == "unet") return unet(kind);
  if (component == "vae") return vae(kind);
  if (component == "depth_estimator") return json::parse(depth_estimator);
  if (component == "feature_extractor") return json::parse(depth_preparation);
  if (component == "text_encoder" && first) {
    json config = json::parse(clip_l);
    return kind.family == Family::sd2 ? changed(std::move(config), clip_h_changes) : config;
  }
  if (component == "text_encoder_2" && second) return changed(json::parse(clip_l), clip_g_changes);
  if (component == "tokenizer" && first) return tokenizer(kind.family == Family::sd2);
  if (component == "tokenizer_2" && second) return tokenizer(true);
  return json::object();
}

}  // namespace sdtorch
