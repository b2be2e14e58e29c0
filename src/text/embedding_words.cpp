#include "text/embedding_words.hpp"

#include <algorithm>

namespace sdtorch {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_in_any_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

/// Letters of other scripts than ASCII's are not told from signs: they pass for letters.
bool is_sign(char c) {
  const char small = lower(c);
  return !(small >= 'a' && small <= 'z') && !(c >= '0' && c <= '9') && static_cast<unsigned char>(c) < 0x80;
}

}  // namespace

size_t EmbeddingWords::add(std::vector<int64_t> spelling, size_t meaning) {
  std::vector<Word>& words = by_first_[spelling.front()];
  const auto same = std::ranges::find(words, spelling, &Word::spelling);
  if (same != words.end()) return same->meaning;
  const auto shorter =
      std::ranges::find_if(words, [&](const Word& word) { return word.spelling.size() < spelling.size(); });
  words.insert(shorter, {std::move(spelling), meaning});
  return meaning;
}

std::optional<EmbeddingWords::Found> EmbeddingWords::find(std::span<const int64_t> ids, size_t position) const {
  const auto words = by_first_.find(ids[position]);
  if (words == by_first_.end()) return std::nullopt;
  const auto rest = ids.subspan(position);
  for (const Word& word : words->second) {
    const size_t length = word.spelling.size();
    if (length <= rest.size() && std::ranges::equal(rest.first(length), word.spelling)) {
      return Found{.meaning = word.meaning, .length = length};
    }
  }
  return std::nullopt;
}

std::string set_apart(std::string_view text, std::span<const std::string> names) {
  std::string spaced;
  for (size_t at = 0; at < text.size();) {
    size_t longest = 0;
    for (const std::string& name : names) {
      if (name.size() > longest && equal_in_any_case(text.substr(at, name.size()), name)) longest = name.size();
    }
    if (longest == 0) {
      spaced += text[at++];
      continue;
    }
    spaced.append(" ").append(text.substr(at, longest)).append(" ");
    at += longest;
  }
  return spaced;
}

bool has_open_edge(std::string_view name) { return !name.empty() && (is_sign(name.front()) || is_sign(name.back())); }

}  // namespace sdtorch
