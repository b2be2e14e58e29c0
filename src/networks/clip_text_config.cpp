#include "sdtorch/networks/config.hpp"
#include "sdtorch/networks/config_reader.hpp"
#include "transformers_config.hpp"

namespace sdtorch {

ClipTextConfig ClipTextConfig::from_json(const nlohmann::json& json, const std::string& file, ClipTextHead head) {
  // The config of a whole CLIP (text and vision) holds the text encoder's under `text_config`.
  if (json.is_object() && json.value("model_type", nlohmann::json()) == "clip" && json.contains("text_config")) {
    return from_json(json["text_config"], file, head);
  }

  ConfigReader reader(json, file);
  ClipTextConfig config;
  config.vocab_size = reader.integer("vocab_size", config.vocab_size, {.max = 1 << 24});
  config.hidden_size = reader.integer("hidden_size", config.hidden_size);
  config.intermediate_size = reader.integer("intermediate_size", config.intermediate_size);
  config.num_hidden_layers = reader.integer("num_hidden_layers", config.num_hidden_layers, {.max = 1024});
  config.num_attention_heads = reader.integer("num_attention_heads", config.num_attention_heads);
  config.max_position_embeddings = reader.integer("max_position_embeddings", config.max_position_embeddings);
  config.hidden_act = reader.activation("hidden_act", "quick_gelu", transformers_activations);
  config.layer_norm_eps = reader.positive_number("layer_norm_eps", config.layer_norm_eps);
  if (config.hidden_size % config.num_attention_heads != 0) {
    reader.fail("num_attention_heads", "a divisor of hidden_size, " + std::to_string(config.hidden_size));
  }

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
