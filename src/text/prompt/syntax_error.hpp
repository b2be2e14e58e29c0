// Where in a prompt its syntax is wrong.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sdtorch {

/// Thrown by the syntaxes, which know the byte but not the flag.
struct PromptSyntaxError {
  size_t offset = 0;  ///< of the prompt's bytes
  std::string reason{}, hint{};
};

/// The column of a byte, 1-based, in characters. text: UTF-8.
size_t column_of(std::string_view text, size_t offset);

/// How deep brackets may nest: far more than anybody writes, and few enough for the stack.
inline constexpr int64_t deepest_nesting = 200;

}  // namespace sdtorch
