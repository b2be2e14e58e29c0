#include <array>

#include "sdtorch/networks/config.hpp"
#include "sdtorch/networks/config_reader.hpp"

namespace sdtorch {
namespace {

// transformers' names.
constexpr std::array<ActivationName, 9> activations{{{"quick_gelu", Activation::quick_gelu},
                                                     {"gelu", Activation::gelu},
                                                     {"gelu_new", Activation::gelu_tanh},
                                                     {"gelu_pytorch_tanh", Activation::gelu_tanh},
                                                     {"gelu_fast", Activation::gelu_tanh},
                                                     {"silu", Activation::silu},
                                                     {"swish", Activation::silu},
                                                     {"mish", Activation::mish},
                                                     {"relu", Activation::relu}}};

/// Keys that every transformers config may carry and that have no say in an encoder's forward pass.
void ignore_what_changes_nothing(ConfigReader& config) {
  // Training, and how the weights were made and stored.
  config.ignore({"attention_dropout", "dropout", "initializer_factor", "initializer_range", "gradient_checkpointing",
                 "architectures", "model_type", "torch_dtype", "dtype", "transformers_version", "use_bfloat16",
                 "torchscript", "tf_legacy_loss", "name_or_path", "chunk_size_feed_forward"});
  // What the forward pass returns besides the hidden state.
  config.ignore({"return_dict", "output_attentions", "output_hidden_states", "use_cache", "tie_word_embeddings",
                 "tie_encoder_decoder", "is_encoder_decoder", "cross_attention_hidden_size"});
  // Tokens: the tokenizer's own files decide.
  config.ignore(
      {"bos_token_id", "pad_token_id", "sep_token_id", "decoder_start_token_id", "tokenizer_class", "prefix"});
  // Heads for other tasks.
  config.ignore({"finetuning_task", "id2label", "label2id", "num_labels", "problem_type", "task_specific_params"});
  // Text generation.
  config.ignore({"bad_words_ids",
                 "begin_suppress_tokens",
                 "diversity_penalty",
                 "do_sample",
                 "early_stopping",
                 "encoder_no_repeat_ngram_size",
                 "exponential_decay_length_penalty",
                 "forced_bos_token_id",
                 "forced_eos_token_id",
                 "length_penalty",
                 "max_length",
                 "min_length",
                 "no_repeat_ngram_size",
                 "num_beam_groups",
                 "num_beams",
                 "num_return_sequences",
                 "output_scores",
                 "remove_invalid_values",
                 "repetition_penalty",
                 "return_dict_in_generate",
                 "suppress_tokens",
                 "temperature",
                 "top_k",
                 "top_p",
                 "typical_p"});
}

}  // namespace

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
  config.hidden_act = reader.activation("hidden_act", "quick_gelu", activations);
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
