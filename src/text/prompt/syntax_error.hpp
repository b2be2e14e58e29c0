// Where in a prompt its syntax is wrong, or odd.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sdtorch {

/// Thrown by the syntaxes, which know the byte but not the flag.
struct PromptSyntaxError {
  size_t offset = 0;  ///< of the prompt's bytes
  std::string reason{}, hint{};
};

/// What looks odd in a prompt, but has a meaning.
struct PromptOddity {
  std::optional<size_t> offset{};  ///< of the prompt's bytes
  std::string text{};

  bool operator==(const PromptOddity&) const = default;
};

/// The column of a byte, 1-based, in characters. text: UTF-8.
size_t column_of(std::string_view text, size_t offset);

/// How deep brackets may nest: far more than anybody writes, and few enough for the stack.
inline constexpr int64_t deepest_nesting = 200;

}  // namespace sdtorch
