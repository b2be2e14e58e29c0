#include "text/prompt/characters.hpp"

#include <charconv>
#include <limits>

#include "core/utf8.hpp"
#include "text/unicode.hpp"

namespace sdtorch {
namespace {

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

size_t character_before(std::string_view text, size_t offset) {
  while (offset > 0 && is_continuation(text[--offset])) {
  }
  return offset;
}

bool word_begins_at(std::string_view text, size_t offset) {
  return offset < text.size() && is_prompt_word(next_code_point(text, offset));
}

bool word_ends_at(std::string_view text, size_t offset) {
  return offset > 0 && word_begins_at(text, character_before(text, offset));
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

size_t after_digits(std::string_view text, size_t from) {
  while (from < text.size() && is_digit(text[from])) ++from;
  return from;
}

}  // namespace

bool is_prompt_space(char32_t c) {
  constexpr char32_t first_separator = 0x1C, last_separator = 0x1F;
  return char_class(c) == CharClass::space || (c >= first_separator && c <= last_separator);
}

bool is_prompt_word(char32_t c) {
  const CharClass kind = char_class(c);
  return kind == CharClass::letter || kind == CharClass::number || c == '_';
}

size_t after_spaces(std::string_view text, size_t from) {
  while (from < text.size()) {
    size_t next = from;
    if (!is_prompt_space(next_code_point(text, next))) break;
    from = next;
  }
  return from;
}

size_t before_spaces(std::string_view text, size_t to, size_t least) {
  while (to > least) {
    const size_t first = character_before(text, to);
    size_t offset = first;
    if (!is_prompt_space(next_code_point(text, offset))) break;
    to = first;
  }
  return to;
}

std::optional<size_t> find_prompt_word(std::string_view text, std::string_view word, size_t from) {
  for (size_t at = text.find(word, from); at != std::string_view::npos; at = text.find(word, at + 1)) {
    if (!word_ends_at(text, at) && !word_begins_at(text, at + word.size())) return at;
  }
  return std::nullopt;
}

bool is_prompt_number(std::string_view text, bool exponent) {
  size_t at = !text.empty() && (text[0] == '+' || text[0] == '-') ? 1 : 0;
  const size_t whole = at;
  at = after_digits(text, at);
  size_t digits = at - whole;
  if (at < text.size() && text[at] == '.') {
    const size_t fraction = ++at;
    at = after_digits(text, at);
    digits += at - fraction;
  }
  if (digits == 0) return false;
  if (exponent && at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    size_t power = at + 1;
    if (power < text.size() && (text[power] == '+' || text[power] == '-')) ++power;
    const size_t end = after_digits(text, power);
    if (end == power) return false;
    at = end;
  }
  return at == text.size();
}

double prompt_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc::result_out_of_range) return value;
  const size_t power = text.find_first_of("eE");
  const bool tiny = power != std::string_view::npos && text[power + 1] == '-';
  if (tiny) return 0;
  return text.starts_with('-') ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
}

}  // namespace sdtorch
