#include "text/clip_words.hpp"

#include "core/utf8.hpp"
#include "text/unicode.hpp"

namespace sdtorch {
namespace {

/// The end of the run of code points of class `wanted` that starts at `offset`.
size_t end_of_run(std::string_view text, size_t offset, CharClass wanted) {
  while (offset < text.size()) {
    size_t next = offset;
    if (char_class(next_code_point(text, next)) != wanted) break;
    offset = next;
  }
  return offset;
}

/// The start of `text` if it is one of `choices`, the first that fits; else empty.
template <size_t N>
std::string_view leading(std::string_view text, const std::string_view (&choices)[N]) {
  for (const std::string_view choice : choices)
    if (text.starts_with(choice)) return choice;
  return {};
}

}  // namespace

std::string clip_normalize(std::string_view text) {
  const std::string composed = to_nfc(text);
  std::string collapsed;
  collapsed.reserve(composed.size());
  bool after_space = false;
  for (size_t offset = 0; offset < composed.size();) {
    const size_t start = offset;
    const bool space = char_class(next_code_point(composed, offset)) == CharClass::space;
    if (!space)
      collapsed.append(composed, start, offset - start);
    else if (!after_space)
      collapsed += ' ';
    after_space = space;
  }
  return to_lower(collapsed);
}

std::vector<std::string_view> clip_words(std::string_view text) {
  // <\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
  // The first two are met in text that became them by lower case. They are words of their own to that expression, but
  // the byte level's then cuts them again, into symbols, letters and symbols.
  static constexpr std::string_view specials[] = {"<|startoftext|>", "<|endoftext|>"};
  static constexpr std::string_view contractions[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
  constexpr size_t bracket = 2;  // "<|" and "|>"
  std::vector<std::string_view> words;
  for (size_t offset = 0; offset < text.size();) {
    const std::string_view rest = text.substr(offset);
    if (const std::string_view special = leading(rest, specials); !special.empty()) {
      words.push_back(rest.substr(0, bracket));
      words.push_back(special.substr(bracket, special.size() - 2 * bracket));
      words.push_back(special.substr(special.size() - bracket));
      offset += special.size();
      continue;
    }
    size_t end = offset;
    const CharClass first = char_class(next_code_point(text, end));
    if (const std::string_view contraction = leading(rest, contractions); !contraction.empty())
      end = offset + contraction.size();
    else if (first == CharClass::letter || first == CharClass::other)
      end = end_of_run(text, end, first);
    if (first != CharClass::space) words.push_back(text.substr(offset, end - offset));
    offset = end;
  }
  return words;
}

}  // namespace sdtorch
