#include "networks/config.hpp"
#include "networks/transformers_config.hpp"

namespace sdtorch {

XlmRobertaConfig XlmRobertaConfig::from_json(const nlohmann::json& json, const std::string& file,
                                             const ReadOptions& options) {
  ConfigReader reader(json, file, options);
  XlmRobertaConfig config;
  read_encoder_sizes(reader, config);
  config.type_vocab_size = reader.integer("type_vocab_size", config.type_vocab_size);
  config.project_dim = reader.integer("project_dim", config.project_dim);
  config.pad_token_id = reader.integer("pad_token_id", config.pad_token_id, {.min = 0, .max = 1 << 24});
  config.hidden_act = read_activation(reader, "hidden_act", "gelu", transformers_activations);
  config.has_pre_transformation = reader.boolean("has_pre_transformation", config.has_pre_transformation);
  config.use_attention_mask = reader.boolean("use_attention_mask", config.use_attention_mask);
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
