// What all of transformers' configs of text encoders have in common.
#pragma once

#include <array>

#include "sdtorch/networks/config_reader.hpp"

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

/// Keys that every transformers config may carry and that have no say in an encoder's forward pass.
void ignore_what_changes_nothing(ConfigReader& config);

}  // namespace sdtorch
