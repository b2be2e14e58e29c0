#include "io/json_text.hpp"

#include <cmath>
#include <string_view>
#include <utility>

namespace sdtorch {
namespace {

using nlohmann::json;

/// What stands for an infinity until the text is written; no config's string begins with such a character.
constexpr std::string_view placeholders[] = {"\x01Infinity", "\x01-Infinity"};

void mark_infinities(json& value) {
  if (value.is_structured()) {
    for (json& item : value) mark_infinities(item);
  } else if (value.is_number_float() && std::isinf(value.get<double>())) {
    value = std::string(placeholders[value.get<double>() > 0 ? 0 : 1]);
  }
}

}  // namespace

std::string json_text(json value, int indent) {
  mark_infinities(value);
  std::string text = value.dump(indent, ' ', false, json::error_handler_t::replace);
  for (const std::string_view stand_in : placeholders) {
    const std::string quoted = json(std::string(stand_in)).dump();
    for (size_t at = text.find(quoted); at != std::string::npos; at = text.find(quoted, at)) {
      text.replace(at, quoted.size(), stand_in.substr(1));
    }
  }
  return text;
}

}  // namespace sdtorch
