#include <nlohmann/json.hpp>

#include "core/config_reader.hpp"
#include "networks/config.hpp"

namespace sdtorch {
namespace {

constexpr const char* channels_key = "block_out_channels";
constexpr const char* heads_key = "num_attention_heads";

/// What means the same as in the U-Net's config, and is read as there. Its other keys, those of the way up too, are
/// none of a ControlNet's.
constexpr const char* unet_keys[] = {"in_channels",
                                     "flip_sin_to_cos",
                                     "freq_shift",
                                     "down_block_types",
                                     "mid_block_type",
                                     "only_cross_attention",
                                     channels_key,
                                     "layers_per_block",
                                     "downsample_padding",
                                     "mid_block_scale_factor",
                                     "act_fn",
                                     "norm_num_groups",
                                     "norm_eps",
                                     "cross_attention_dim",
                                     "transformer_layers_per_block",
                                     "encoder_hid_dim",
                                     "encoder_hid_dim_type",
                                     "attention_head_dim",
                                     "use_linear_projection",
                                     "class_embed_type",
                                     "addition_embed_type",
                                     "addition_time_embed_dim",
                                     "num_class_embeds",
                                     "upcast_attention",
                                     "resnet_time_scale_shift",
                                     "projection_class_embeddings_input_dim",
                                     "addition_embed_type_num_heads",
                                     "dtype",
                                     "torch_dtype",
                                     "quantization_config"};

/// The config of a U-Net whose way down this is.
nlohmann::json as_unet(ConfigReader& reader, const nlohmann::json& json) {
  nlohmann::json unet = nlohmann::json::object();
  for (const char* key : unet_keys) {
    if (const nlohmann::json* found = reader.value(key)) unet[key] = *found;
  }
  const size_t levels = reader.integers(channels_key, {320, 640, 1280, 1280}).size();
  unet["up_block_types"] = std::vector<std::string>(levels, "UpBlock2D");
  unet["reverse_transformer_layers_per_block"] = 1;
  // Unlike the U-Net's, this class takes the number of heads by its own name.
  if (reader.given(heads_key)) unet["attention_head_dim"] = reader.integer_for_each(heads_key, levels, 0);
  // One number for all blocks, where a U-Net's may be a list.
  reader.integer("layers_per_block", 2);
  reader.integer("cross_attention_dim", 1280);
  if (json.contains("mid_block_type") && json["mid_block_type"].is_null()) {
    reader.fail("mid_block_type", "UNetMidBlock2DCrossAttn or UNetMidBlock2D");
  }
  return unet;
}

}  // namespace

int64_t ControlNetConfig::factor() const { return int64_t{1} << (conditioning_embedding_out_channels.size() - 1); }

ControlNetConfig ControlNetConfig::from_json(const nlohmann::json& json, const std::string& file,
                                             const ReadOptions& options) {
  constexpr auto order_key = "controlnet_conditioning_channel_order";
  ConfigReader reader(json, file, options);
  ControlNetConfig config;
  const nlohmann::json unet = as_unet(reader, json);
  config.conditioning_channels = reader.integer("conditioning_channels", config.conditioning_channels);
  config.conditioning_embedding_out_channels =
      reader.integers("conditioning_embedding_out_channels", {16, 32, 96, 256});
  config.global_pool_conditions = reader.boolean("global_pool_conditions", config.global_pool_conditions);
  const std::string order = reader.text(order_key, "rgb");
  if (order != "rgb" && order != "bgr") reader.fail(order_key, "rgb or bgr");
  config.bgr = order == "bgr";
  reader.finish();
  config.unet = UNetConfig::from_json(unet, file, options);
  return config;
}

}  // namespace sdtorch
