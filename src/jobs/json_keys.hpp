// Where the keys of a JSON object, or the elements of a list, stand.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sdtorch {

struct JsonKey {
  std::string name{};
  size_t offset = 0;  ///< of its first quote, in bytes
};

/// A piece of a text.
struct JsonPiece {
  size_t offset = 0, size = 0;  ///< bytes
};

/// The elements of a list, without the blanks around them, in their order. text: one JSON array, well formed.
std::vector<JsonPiece> json_elements(std::string_view text);

/// The object's own keys, in their order. text: one JSON object, well formed.
std::vector<JsonKey> json_keys(std::string_view text);

}  // namespace sdtorch
