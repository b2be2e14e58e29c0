#include "networks/config.hpp"
#include "networks/transformers_config.hpp"

namespace sdtorch {

ClipTextConfig ClipTextConfig::from_json(const nlohmann::json& json, const std::string& file, ClipTextHead head,
                                         const ReadOptions& options) {
  // The config of a whole CLIP (text and vision) holds the text encoder's under `text_config`.
  if (json.is_object() && json.value("model_type", nlohmann::json()) == "clip" && json.contains("text_config")) {
    return from_json(json["text_config"], file, head, options);
  }

  ConfigReader reader(json, file, options);
  ClipTextConfig config;
  read_encoder_sizes(reader, config);
  config.hidden_act = read_activation(reader, "hidden_act", "quick_gelu", transformers_activations);

  if (head.projection) {
    constexpr int64_t usual_projection = 512;
    config.projection_dim = reader.integer("projection_dim", usual_projection);
    config.eos_token_id = reader.integer("eos_token_id", config.eos_token_id, {.min = 0, .max = 1 << 24});
  } else {  // without a pooled text the tokenizer's own files decide
    reader.ignore({"projection_dim", "eos_token_id"});
  }

  reader.only("pruned_heads", nlohmann::json::object());
  reader.only("is_decoder", false);
  reader.only("add_cross_attention", false);
  reader.only_null({"quantization_config"});
  ignore_what_changes_nothing(reader);
  reader.finish();
  return config;
}

}  // namespace sdtorch
