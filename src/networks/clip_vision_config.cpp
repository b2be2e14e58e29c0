#include "networks/clip_vision_config.hpp"

#include <fmt/format.h>

#include "networks/transformers_config.hpp"

namespace sdtorch {
namespace {

constexpr int64_t clip_channels = 3;

/// Encoders of the same shape and with the same names of keys compute other things.
void check_is_clip(ConfigReader& reader) {
  constexpr const char *key = "model_type", *type = "clip_vision_model";
  if (const std::string found = reader.text(key, type); found != type) reader.fail(key, type);
}

}  // namespace

ClipVisionConfig ClipVisionConfig::from_json(const nlohmann::json& json, const std::string& file,
                                             const ReadOptions& options) {
  if (json.is_object() && json.value("model_type", nlohmann::json()) == "clip" && json.contains("vision_config")) {
    return from_json(json["vision_config"], file + ": vision_config", options);
  }
  ConfigReader reader(json, file, options);
  ClipVisionConfig config;
  check_is_clip(reader);
  config.hidden_size = reader.integer("hidden_size", config.hidden_size);
  config.intermediate_size = reader.integer("intermediate_size", config.intermediate_size);
  config.projection_dim = reader.integer("projection_dim", config.projection_dim);
  config.num_hidden_layers = reader.integer("num_hidden_layers", config.num_hidden_layers, {.max = 1024});
  config.num_attention_heads = reader.integer("num_attention_heads", config.num_attention_heads);
  if (config.hidden_size % config.num_attention_heads != 0) {
    reader.fail("num_attention_heads", fmt::format("a divisor of hidden_size, {}", config.hidden_size));
  }
  constexpr int64_t largest_picture = 4096;
  config.image_size = reader.integer("image_size", config.image_size, {.max = largest_picture});
  config.patch_size = reader.integer("patch_size", config.patch_size, {.max = config.image_size});
  config.hidden_act = read_activation(reader, "hidden_act", "quick_gelu", transformers_activations);
  config.layer_norm_eps = reader.positive_number("layer_norm_eps", config.layer_norm_eps);
  reader.only("num_channels", clip_channels);
  reader.only("pruned_heads", nlohmann::json::object());
  reader.only("is_decoder", false);
  reader.only("add_cross_attention", false);
  reader.only_null({"quantization_config"});
  ignore_what_changes_nothing(reader);
  reader.finish();
  return config;
}

}  // namespace sdtorch
