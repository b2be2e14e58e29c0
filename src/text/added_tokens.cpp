#include "text/added_tokens.hpp"

#include <algorithm>
#include <utility>

#include "core/utf8.hpp"
#include "text/unicode.hpp"

namespace sdtorch {
namespace {

bool is_space(char32_t c) { return char_class(c) == CharClass::space; }

bool starts_with_word(std::string_view text) {
  size_t offset = 0;
  return !text.empty() && is_word_char(next_code_point(text, offset));
}

/// The offset of the last code point of text, which is not empty.
size_t last_code_point(std::string_view text) {
  size_t offset = text.size() - 1;
  while (offset > 0 && (static_cast<unsigned char>(text[offset]) & 0xC0) == 0x80) --offset;
  return offset;
}

bool ends_with_word(std::string_view text) {
  if (text.empty()) return false;
  size_t offset = last_code_point(text);
  return is_word_char(next_code_point(text, offset));
}

size_t without_spaces_at_end(std::string_view text) {
  while (!text.empty()) {
    const size_t start = last_code_point(text);
    size_t offset = start;
    if (!is_space(next_code_point(text, offset))) break;
    text = text.substr(0, start);
  }
  return text.size();
}

size_t spaces_at_start(std::string_view text) {
  size_t offset = 0;
  while (offset < text.size()) {
    const size_t start = offset;
    if (!is_space(next_code_point(text, offset))) return start;
  }
  return offset;
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<Entry> entries, bool skip_special)
    : entries_(std::move(entries)), skip_special_(skip_special) {
  std::ranges::stable_sort(entries_,
                           [](const Entry& a, const Entry& b) { return a.pattern.size() > b.pattern.size(); });
  for (size_t i = 0; i < entries_.size(); ++i)
    first_[static_cast<unsigned char>(entries_[i].pattern.front())].push_back(i);
}

const AddedTokenMatcher::Entry* AddedTokenMatcher::match_at(std::string_view text, size_t offset) const {
  for (const size_t i : first_[static_cast<unsigned char>(text[offset])])
    if (text.substr(offset).starts_with(entries_[i].pattern)) return &entries_[i];
  return nullptr;
}

std::vector<TextSpan> AddedTokenMatcher::split(std::string_view text) const {
  std::vector<TextSpan> spans;
  size_t taken = 0;  // the end of the last token, with the spaces that it took
  for (size_t offset = 0; offset < text.size();) {
    const Entry* entry = match_at(text, offset);
    if (entry == nullptr) {
      ++offset;
      continue;
    }
    size_t start = offset, stop = offset + entry->pattern.size();
    offset = stop;
    if (skip_special_ && entry->token.special) continue;
    if (entry->token.single_word && (ends_with_word(text.substr(0, start)) || starts_with_word(text.substr(stop))))
      continue;
    if (entry->token.lstrip) start = std::max(without_spaces_at_end(text.substr(0, start)), taken);
    if (entry->token.rstrip) stop += spaces_at_start(text.substr(stop));
    if (taken < start) spans.push_back({.text = text.substr(taken, start - taken), .id = std::nullopt});
    spans.push_back({.text = text.substr(start, stop - start), .id = entry->id});
    taken = stop;
  }
  if (taken < text.size()) spans.push_back({.text = text.substr(taken), .id = std::nullopt});
  return spans;
}

}  // namespace sdtorch
