#include "text/unicode.hpp"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>

#include "core/error.hpp"
#include "core/utf8.hpp"
#include "text/unicode_pins.hpp"

namespace sdtorch {
namespace {

const utf8proc_uint8_t* bytes(std::string_view text) { return reinterpret_cast<const utf8proc_uint8_t*>(text.data()); }

bool is_ascii(std::string_view text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) >= 0x80) return false;
  return true;
}

char32_t lower(char32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
  for (const auto& range : unicode_pins::recent_capitals)
    if (c >= range.first && c <= range.last) return static_cast<char32_t>(static_cast<int64_t>(c) + range.distance);
  if (unicode_pins::contains(unicode_pins::later_capitals, c)) return c;
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

/// Appends utf8proc's composed form of `text`.
void append_composed(std::string& out, std::string_view text) {
  if (is_ascii(text)) {
    out += text;
    return;
  }
  utf8proc_uint8_t* composed = nullptr;
  const auto size = utf8proc_map(bytes(text), static_cast<utf8proc_ssize_t>(text.size()), &composed,
                                 static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(composed, &std::free);
  if (size == UTF8PROC_ERROR_NOMEM || size == UTF8PROC_ERROR_OVERFLOW)
    throw Error(ErrorKind::memory, {.file = "prompt", .reason = "too long to normalize"});
  if (size < 0) throw Error(ErrorKind::bug, {.file = "prompt", .reason = utf8proc_errmsg(size)});
  out.append(reinterpret_cast<const char*>(composed), static_cast<size_t>(size));
}

}  // namespace

size_t grapheme_end(std::string_view text, size_t offset) {
  utf8proc_int32_t state = 0;
  char32_t left = next_code_point(text, offset);
  while (offset < text.size()) {
    size_t after = offset;
    const char32_t right = next_code_point(text, after);
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(left), static_cast<utf8proc_int32_t>(right),
                                         &state))
      break;
    left = right;
    offset = after;
  }
  return offset;
}

CharClass char_class(char32_t c) {
  using unicode_pins::contains;
  if (contains(unicode_pins::later_letters_and_numbers, c)) return CharClass::other;
  if (contains(unicode_pins::recent_letters, c)) return CharClass::letter;
  if (contains(unicode_pins::recent_numbers, c)) return CharClass::number;
  if ((c >= 0x9 && c <= 0xD) || c == 0x85) return CharClass::space;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharClass::letter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharClass::number;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return CharClass::space;
    default:
      return CharClass::other;
  }
}

bool is_word_char(char32_t c) {
  using unicode_pins::contains;
  if (contains(unicode_pins::later_word_chars, c) || contains(unicode_pins::later_letters_and_numbers, c)) return false;
  if (contains(unicode_pins::recent_word_chars, c) || char_class(c) == CharClass::letter) return true;
  if (c == 0x200C || c == 0x200D) return true;  // joiners
  // The symbols that are alphabetic: letters in circles and squares.
  if ((c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
      (c >= 0x1F170 && c <= 0x1F189))
    return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return false;
  }
}

std::string to_lower(std::string_view text) {
  constexpr char32_t capital_i_with_dot = 0x130, combining_dot_above = 0x307;
  std::string out;
  out.reserve(text.size());
  for (size_t offset = 0; offset < text.size();) {
    const char32_t c = next_code_point(text, offset);
    if (c == capital_i_with_dot) {
      out += 'i';
      out += utf8(combining_dot_above);
    } else {
      out += utf8(lower(c));
    }
  }
  return out;
}

std::string to_nfc(std::string_view text) {
  if (is_ascii(text)) return std::string(text);
  std::string out;
  out.reserve(text.size());
  size_t composed_to = 0;  // text before this offset is in out
  for (size_t offset = 0; offset < text.size();) {
    const size_t start = offset;
    if (!unicode_pins::contains(unicode_pins::inert_in_composition, next_code_point(text, offset))) continue;
    append_composed(out, text.substr(composed_to, start - composed_to));
    out += text.substr(start, offset - start);
    composed_to = offset;
  }
  append_composed(out, text.substr(composed_to));
  return out;
}

}  // namespace sdtorch
