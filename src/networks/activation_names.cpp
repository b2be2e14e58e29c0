#include "networks/activation_names.hpp"

#include <fmt/format.h>

#include <string>

namespace sdtorch {
namespace {

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

}  // namespace

Activation read_activation(ConfigReader& reader, const char* key, std::string_view fallback,
                           std::span<const ActivationName> names) {
  const std::string wanted = lower(reader.text(key, fallback));
  std::string list;
  for (const auto& [name, activation] : names) {
    if (name == wanted) return activation;
    list += fmt::format("{}{}", list.empty() ? "" : ", ", name);
  }
  reader.fail(key, "one of " + list);
}

std::optional<Activation> read_optional_activation(ConfigReader& reader, const char* key,
                                                   std::span<const ActivationName> names) {
  if (!reader.given(key)) return std::nullopt;
  return read_activation(reader, key, "", names);
}

}  // namespace sdtorch
