// Names that diffusers' configs share.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "networks/activation_names.hpp"

namespace sdtorch {

inline constexpr std::array<ActivationName, 5> diffusers_activations{{{"silu", Activation::silu},
                                                                      {"swish", Activation::silu},
                                                                      {"mish", Activation::mish},
                                                                      {"gelu", Activation::gelu},
                                                                      {"relu", Activation::relu}}};

/// A block type without the prefix `UNetRes` that old configs put before it.
inline std::string block_type(const std::string& name) {
  constexpr std::string_view old_prefix = "UNetRes";
  return name.starts_with(old_prefix) ? name.substr(old_prefix.size()) : name;
}

}  // namespace sdtorch
