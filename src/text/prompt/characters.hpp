// The characters that prompt grammars tell apart, as Python's regular expressions do, in which A1111's is written.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace sdtorch {

/// \s: white space of Unicode, and the separators U+001C…U+001F.
bool is_prompt_space(char32_t c);

/// \w: letters, numbers and `_`.
bool is_prompt_word(char32_t c);

/// The first byte from `from` on that begins no white space; text's end where there is none.
size_t after_spaces(std::string_view text, size_t from);

/// The end of the text before `to` without the white space there; never before `least`.
size_t before_spaces(std::string_view text, size_t to, size_t least = 0);

/// Where a word stands next, from `from` on, that is no part of a longer one (\bWORD\b).
std::optional<size_t> find_prompt_word(std::string_view text, std::string_view word, size_t from);

/// Whether a text is a number of the form [+-]digits[.digits][e[+-]digits]. Either side of the point may be empty.
bool is_prompt_number(std::string_view text, bool exponent = true);

/// Its value; infinite beyond what a double holds. text: is_prompt_number.
double prompt_number(std::string_view text);

}  // namespace sdtorch
