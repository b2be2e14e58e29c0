#include "text/added_words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "core/utf8.hpp"
#include "text/clip_words.hpp"

namespace sdtorch {
namespace {

int64_t mark_of(size_t word) { return -1 - static_cast<int64_t>(word); }
size_t word_of(int64_t mark) { return static_cast<size_t>(-1 - mark); }

std::string with_replaced(const std::string& text, const std::string& from, const std::string& to) {
  std::string result;
  size_t at = 0;
  for (size_t found = 0; (found = text.find(from, at)) != std::string::npos; at = found + from.size()) {
    result.append(text, at, found - at).append(to);
  }
  return result.append(text, at);
}

}  // namespace

size_t AddedWords::add(const std::string& name, size_t meaning) {
  std::string pattern = clip_normalize(name);
  const auto [known, is_new] = by_pattern_.emplace(pattern, words_.size());
  if (!is_new) return words_[known->second].meaning;
  const bool whole = pattern == name;
  entries_.push_back({.pattern = std::move(pattern), .token = {.content = name}, .id = mark_of(words_.size())});
  words_.push_back({.name = name, .meaning = meaning, .whole = whole});
  return meaning;
}

std::vector<int64_t> AddedWords::marked(std::string_view text, const Entries& more) const {
  if (invalid_utf8_offset(text)) return tokenizer_.encode(text);  // which says where
  Entries entries = entries_;
  entries.insert(entries.end(), more.begin(), more.end());
  // CLIP's normalization, which its tokenizer leaves as it is; a text without words goes by the tokenizer alone.
  const std::string normal = clip_normalize(text);
  const std::vector<TextSpan> spans = AddedTokenMatcher(std::move(entries)).split(normal);
  if (std::ranges::none_of(spans, [](const TextSpan& span) { return span.id.has_value(); })) {
    return tokenizer_.encode(text);
  }
  std::vector<int64_t> ids;
  for (const TextSpan& span : spans) {
    if (span.id) {
      ids.push_back(*span.id);
    } else {
      std::ranges::copy(tokenizer_.encode(span.text), std::back_inserter(ids));
    }
  }
  return ids;
}

std::vector<size_t> AddedWords::words_of(const std::vector<int64_t>& ids) {
  std::vector<size_t> words;
  for (const int64_t id : ids) {
    if (id >= 0) continue;
    const size_t word = word_of(id);
    if (std::ranges::find(words, word) == words.end()) words.push_back(word);
  }
  return words;
}

std::vector<size_t> AddedWords::find(std::string_view text) const {
  std::vector<size_t> meanings;
  for (const size_t word : words_of(marked(text))) meanings.push_back(words_[word].meaning);
  return meanings;
}

bool AddedWords::is_whole(size_t meaning) const {
  const auto found = std::ranges::find(words_, meaning, &Word::meaning);
  return found != words_.end() && found->whole;
}

std::vector<int64_t> AddedWords::encode(std::string_view text,
                                        const std::function<WordIds(size_t meaning)>& ids_of) const {
  std::map<size_t, std::string> written_out;
  Entries further;
  for (const size_t number : words_of(marked(text))) {
    const Word& word = words_[number];
    const WordIds own = ids_of(word.meaning);
    std::string& all = written_out[number] = word.name;
    for (int64_t k = 1; k < own.count; ++k) {
      const std::string name = fmt::format("{}_{}", word.name, k);
      all += " " + name;
      std::string pattern = clip_normalize(name);
      if (by_pattern_.contains(pattern)) continue;
      further.push_back({.pattern = std::move(pattern), .token = {.content = name}, .id = own.first + k});
    }
  }
  std::string whole(text);
  for (const size_t number : words_of(marked(text, further))) {
    const auto all = written_out.find(number);
    if (words_[number].whole && all != written_out.end()) {
      whole = with_replaced(whole, words_[number].name, all->second);
    }
  }
  std::vector<int64_t> ids = marked(whole, further);
  for (int64_t& id : ids) {
    if (id < 0) id = ids_of(words_[word_of(id)].meaning).first;
  }
  return ids;
}

}  // namespace sdtorch
