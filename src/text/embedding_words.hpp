// Words of a prompt that stand for learned vectors (Gal et al. 2022, "An Image is Worth One Word"). As in A1111 they
// are found among a text's token ids, not in its letters: in any case, whatever spaces are in and around them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sdtorch {

class EmbeddingWords {
 public:
  struct Found {
    size_t meaning = 0;
    size_t length = 0;  ///< how many ids the word takes up
  };

  /// spelling: the word's ids, not empty; meaning: the caller's. Of equal spellings the first counts: gives back the
  /// meaning that the spelling has now.
  size_t add(std::vector<int64_t> spelling, size_t meaning);

  /// The longest word that begins at a position.
  std::optional<Found> find(std::span<const int64_t> ids, size_t position) const;

 private:
  struct Word {
    std::vector<int64_t> spelling{};
    size_t meaning = 0;
  };
  std::map<int64_t, std::vector<Word>> by_first_{};  ///< by the spelling's first id, the longest in front
};

/// The text with a space on both sides of each of the names, the longest at a place, in any case (ASCII's): a tokenizer
/// that makes one token of `>,` would hide the end of `<cat>` otherwise.
std::string set_apart(std::string_view text, std::span<const std::string> names);

/// Whether a name begins or ends in a sign, which may grow together with its neighbours' signs.
bool has_open_edge(std::string_view name);

}  // namespace sdtorch
