// sentencepiece's precompiled normalization: a trie from strings to what stands for them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sdtorch {

/// `precompiled_charsmap` of a sentencepiece model, applied as the tokenizers library applies it: to grapheme clusters
/// of fewer than six bytes as a whole, else to each of their characters. The shortest entry that begins them replaces
/// them. (sentencepiece itself replaces the longest entry, whatever the clusters: they differ for a base with several
/// combining marks, such as kana written with a separate voicing mark.)
class Charsmap {
 public:
  /// blob: little-endian byte count of the trie, the trie (a double array of 32-bit units, Yata et al. 2007), then the
  /// replacements, each ended by a zero byte; empty: nothing is replaced.
  /// Throws ErrorKind::model naming `file` where it is none.
  Charsmap(std::string_view blob, const std::string& file);

  /// text: well-formed UTF-8, which the result is, too.
  std::string normalize(std::string_view text) const;

 private:
  std::optional<std::string_view> find(std::string_view chunk) const;

  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace sdtorch
