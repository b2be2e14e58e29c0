// Unicode as the reference tokenizer sees it: character classes, lower case and composition.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sdtorch {

/// Where the grapheme cluster (UAX 29, extended) that begins at `offset` ends. offset: the start of one, not text's
/// end.
size_t grapheme_end(std::string_view text, size_t offset);

/// The classes that CLIP's split expression tells apart: \p{L}, \p{N}, \s and the rest.
enum class CharClass { letter, number, space, other };
CharClass char_class(char32_t c);

/// \w of the `regex` crate (UTS 18): alphabetic, mark, decimal number, connector punctuation, join control.
bool is_word_char(char32_t c);

/// Each code point's own lower case, whatever stands around it (a final sigma stays σ). text: well-formed UTF-8.
std::string to_lower(std::string_view text);

/// Normalization form C (UAX 15). text: well-formed UTF-8.
std::string to_nfc(std::string_view text);

}  // namespace sdtorch
