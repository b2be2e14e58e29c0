#include "sdtorch/networks/config.hpp"
#include "sdtorch/networks/config_reader.hpp"
#include "transformers_config.hpp"

namespace sdtorch {

XlmRobertaConfig XlmRobertaConfig::from_json(const nlohmann::json& json, const std::string& file) {
  ConfigReader reader(json, file);
  XlmRobertaConfig config;
  config.vocab_size = reader.integer("vocab_size", config.vocab_size, {.max = 1 << 24});
  config.hidden_size = reader.integer("hidden_size", config.hidden_size);
  config.intermediate_size = reader.integer("intermediate_size", config.intermediate_size);
  config.num_hidden_layers = reader.integer("num_hidden_layers", config.num_hidden_layers, {.max = 1024});
  config.num_attention_heads = reader.integer("num_attention_heads", config.num_attention_heads);
  config.max_position_embeddings = reader.integer("max_position_embeddings", config.max_position_embeddings);
  config.type_vocab_size = reader.integer("type_vocab_size", config.type_vocab_size);
  config.project_dim = reader.integer("project_dim", config.project_dim);
  config.pad_token_id = reader.integer("pad_token_id", config.pad_token_id, {.min = 0, .max = 1 << 24});
  config.hidden_act = reader.activation("hidden_act", "gelu", transformers_activations);
  config.layer_norm_eps = reader.positive_number("layer_norm_eps", config.layer_norm_eps);
  config.has_pre_transformation = reader.boolean("has_pre_transformation", config.has_pre_transformation);
  config.use_attention_mask = reader.boolean("use_attention_mask", config.use_attention_mask);
  if (config.hidden_size % config.num_attention_heads != 0) {
    reader.fail("num_attention_heads", "a divisor of hidden_size, " + std::to_string(config.hidden_size));
  }
  if (config.longest_text() < 1) {
    reader.fail("max_position_embeddings", "more than pad_token_id + 1, where the positions of a text begin");
  }

  reader.only("pruned_heads", nlohmann::json::object());
  reader.only("is_decoder", false);
  reader.only("add_cross_attention", false);
  reader.only("position_embedding_type", "absolute");
  reader.only_null({"quantization_config"});
  // Training, the pooler and the teacher, none of which has a say in the text's states.
  reader.ignore({"hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout", "learn_encoder",
                 "pooler_fn", "output_past", "eos_token_id", "projection_dim"});
  ignore_what_changes_nothing(reader);
  reader.finish();
  return config;
}

}  // namespace sdtorch
