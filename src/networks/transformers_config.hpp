// What all of transformers' configs of text encoders have in common.
#pragma once

#include <array>
#include <string>

#include "networks/activation_names.hpp"

namespace sdtorch {

/// transformers' names.
inline constexpr std::array<ActivationName, 9> transformers_activations{{{"quick_gelu", Activation::quick_gelu},
                                                                         {"gelu", Activation::gelu},
                                                                         {"gelu_new", Activation::gelu_tanh},
                                                                         {"gelu_pytorch_tanh", Activation::gelu_tanh},
                                                                         {"gelu_fast", Activation::gelu_tanh},
                                                                         {"silu", Activation::silu},
                                                                         {"swish", Activation::silu},
                                                                         {"mish", Activation::mish},
                                                                         {"relu", Activation::relu}}};

/// Reads the sizes that every encoder has, by the names that transformers gives them.
/// Config: ClipTextConfig or XlmRobertaConfig, with the family's defaults. Throws as ConfigReader does.
template <class Config>
void read_encoder_sizes(ConfigReader& reader, Config& config) {
  config.vocab_size = reader.integer("vocab_size", config.vocab_size, {.max = 1 << 24});
  config.hidden_size = reader.integer("hidden_size", config.hidden_size);
  config.intermediate_size = reader.integer("intermediate_size", config.intermediate_size);
  config.num_hidden_layers = reader.integer("num_hidden_layers", config.num_hidden_layers, {.max = 1024});
  config.num_attention_heads = reader.integer("num_attention_heads", config.num_attention_heads);
  config.max_position_embeddings = reader.integer("max_position_embeddings", config.max_position_embeddings);
  config.layer_norm_eps = reader.positive_number("layer_norm_eps", config.layer_norm_eps);
  if (config.hidden_size % config.num_attention_heads != 0) {
    reader.fail("num_attention_heads", "a divisor of hidden_size, " + std::to_string(config.hidden_size));
  }
}

/// Keys that every transformers config may carry and that have no say in an encoder's forward pass.
void ignore_what_changes_nothing(ConfigReader& config);

}  // namespace sdtorch
