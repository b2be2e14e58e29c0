// Where the keys of a JSON object stand.
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

/// The object's own keys, in their order. text: one JSON object, well formed.
std::vector<JsonKey> json_keys(std::string_view text);

}  // namespace sdtorch
