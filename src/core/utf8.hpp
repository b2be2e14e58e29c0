// UTF-8: decoding, encoding, whether bytes are it, and text that is fit to be shown.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace sdtorch {

struct Utf8Character {
  char32_t code = 0;
  size_t bytes = 0;  ///< that it takes; 0: there is none
};

/// The well-formed character that the text begins with (RFC 3629), or none: bytes is 0.
Utf8Character first_character(std::string_view text);

/// The code point at `offset` of well-formed UTF-8; moves offset behind it.
char32_t next_code_point(std::string_view text, size_t& offset);

/// The code point as UTF-8. code: up to U+10FFFF, no surrogate.
std::string utf8(char32_t code);

/// The offset of the first byte that does not belong to well-formed UTF-8 (RFC 3629: no overlong forms, no
/// surrogates, nothing above U+10FFFF), or none.
std::optional<size_t> invalid_utf8_offset(std::string_view text);

/// The text with a `?` for each control character that a terminal would obey rather than show (C0 but for line breaks
/// and tabs, DEL, C1) and for each byte that is no UTF-8. Names and values in messages come from files that anybody may
/// have written.
std::string harmless(std::string_view text);

/// The text, or as many whole characters of it as fit into so many bytes, and `…`.
std::string shortened(std::string_view text, size_t bytes);

}  // namespace sdtorch
