// Tokens that are matched in the text as they stand, before it is split into words.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sdtorch {

/// An added token, as tokenizer files describe it.
struct AddedToken {
  std::string content{};     ///< UTF-8
  bool single_word = false;  ///< matches only where no word character touches it
  bool lstrip = false;       ///< takes the spaces on its left with it
  bool rstrip = false;       ///< takes the spaces on its right with it
  bool normalized = true;    ///< is looked for in normalized text, itself normalized
  bool special = false;      ///< start, end, padding and the like

  bool operator==(const AddedToken&) const = default;
};

/// A stretch of text: an added token, or text between.
struct TextSpan {
  std::string_view text;
  std::optional<int64_t> id;  ///< of the added token; none is text
};

/// Finds the leftmost, longest of a set of tokens.
class AddedTokenMatcher {
 public:
  struct Entry {
    std::string pattern;  ///< not empty; the token's content, normalized where the token is
    AddedToken token;
    int64_t id;
  };

  /// entries: no two with the same pattern. skip_special: special tokens are found, but left as text.
  explicit AddedTokenMatcher(std::vector<Entry> entries = {}, bool skip_special = false);

  /// Cuts text into tokens and what is between them; the spans point into `text`. text: well-formed UTF-8.
  std::vector<TextSpan> split(std::string_view text) const;

 private:
  const Entry* match_at(std::string_view text, size_t offset) const;

  std::vector<Entry> entries_;                  // longest first
  std::array<std::vector<size_t>, 256> first_;  // by first byte: places in entries_
  bool skip_special_;
};

}  // namespace sdtorch
