// Learned words as diffusers finds them: tokens that are added to the vocabulary and looked for in the text's letters,
// within other words too, and for each vector beyond a word's first another token, `NAME_1`, `NAME_2`, …
// (maybe_convert_prompt).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/added_tokens.hpp"
#include "text/tokenizer.hpp"

namespace sdtorch {

/// The ids of a word's vectors.
struct WordIds {
  int64_t first = 0, count = 1;
};

class AddedWords {
 public:
  explicit AddedWords(Tokenizer tokenizer) : tokenizer_(std::move(tokenizer)) {}

  /// name: UTF-8, not empty once normalized; meaning: the caller's. Of names that are equal once normalized the first
  /// counts: gives back the meaning that the name has now.
  size_t add(const std::string& name, size_t meaning);

  /// What the words in a text mean, each once, in its order. Throws as Tokenizer::encode.
  std::vector<size_t> find(std::string_view text) const;

  /// Whether a word's name is as it is once normalized. As in diffusers, one that is not has its first vector alone.
  bool is_whole(size_t meaning) const;

  /// As Tokenizer::encode, a word's ids in its place; ids_of gives those of a meaning. As in diffusers, what differs
  /// from a name by its case has the word's first vector alone.
  std::vector<int64_t> encode(std::string_view text, const std::function<WordIds(size_t meaning)>& ids_of) const;

 private:
  struct Word {
    std::string name{};
    size_t meaning = 0;
    bool whole = true;
  };
  using Entries = std::vector<AddedTokenMatcher::Entry>;

  /// The numbers of the words among marked ids, each once.
  static std::vector<size_t> words_of(const std::vector<int64_t>& ids);

  /// The text's ids; of words_[i] -1 - i.
  std::vector<int64_t> marked(std::string_view text, const Entries& more = {}) const;

  Tokenizer tokenizer_;
  std::vector<Word> words_{};
  std::map<std::string, size_t> by_pattern_{};  ///< numbers of words_
  Entries entries_{};
};

}  // namespace sdtorch
