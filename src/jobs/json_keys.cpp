#include "jobs/json_keys.hpp"

#include <nlohmann/json.hpp>
#include <optional>

namespace sdtorch {
namespace {

/// Behind the quote that ends the string that begins at `start`.
size_t end_of_string(std::string_view text, size_t start) {
  size_t at = start + 1;
  while (at < text.size() && text[at] != '"') at += text[at] == '\\' ? 2 : 1;
  return at + 1;
}

}  // namespace

std::vector<JsonPiece> json_elements(std::string_view text) {
  std::vector<JsonPiece> elements;
  size_t depth = 0, end = 0;
  std::optional<size_t> start;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    const bool closes = c == ']' || c == '}';
    if (closes) --depth;
    if (start && ((c == ',' && depth == 1) || depth == 0)) {
      elements.push_back({*start, end - *start});
      start.reset();
    } else if (depth > 0 && std::string_view(", \t\r\n").find(c) == std::string_view::npos) {
      if (!start) start = at;
      if (c == '"') at = end_of_string(text, at) - 1;
      end = at + 1;
    }
    if (c == '[' || c == '{') ++depth;
  }
  return elements;
}

std::vector<JsonKey> json_keys(std::string_view text) {
  std::vector<JsonKey> keys;
  size_t depth = 0;
  bool key_is_next = false;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '{' || c == '[') {
      ++depth;
      key_is_next = depth == 1;
    } else if (c == '}' || c == ']') {
      --depth;
    } else if (c == ',') {
      key_is_next = depth == 1;
    } else if (c == '"') {
      const size_t end = end_of_string(text, at);
      if (key_is_next) {
        const auto name = nlohmann::json::parse(text.substr(at, end - at), nullptr, false);
        if (name.is_string()) keys.push_back({name.get<std::string>(), at});
      }
      key_is_next = false;
      at = end - 1;
    }
  }
  return keys;
}

}  // namespace sdtorch
