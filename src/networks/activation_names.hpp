// Activations by the names that configs give them.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "core/config_reader.hpp"
#include "nn/activation.hpp"

namespace sdtorch {

/// In lower case; the config's case does not matter.
using ActivationName = std::pair<std::string_view, Activation>;

/// Throws as ConfigReader does, naming all `names`.
Activation read_activation(ConfigReader& reader, const char* key, std::string_view fallback,
                           std::span<const ActivationName> names);

/// null, and the key's absence: none.
std::optional<Activation> read_optional_activation(ConfigReader& reader, const char* key,
                                                   std::span<const ActivationName> names);

}  // namespace sdtorch
