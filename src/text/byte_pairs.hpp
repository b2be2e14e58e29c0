// Byte-level byte-pair encoding (Sennrich et al. 2016; Radford et al. 2019) with CLIP's end-of-word suffix.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sdtorch {

/// One line of merges.txt, as ids: left and right next to each other become merged. Its rank is its place in the list.
struct BytePairMerge {
  int32_t left, right, merged;
};

/// The printable character that stands for a byte in a byte-level vocabulary, as UTF-8.
std::string byte_unit(unsigned char byte);

/// All 256 of them in CLIP's order, that of their code points: `!` is the first.
std::vector<std::string> byte_units();

class BytePairs {
 public:
  static constexpr std::string_view end_of_word = "</w>";

  /// ids: each piece's id; the 256 byte units, alone and with the suffix, are looked up in it.
  /// merges: by rank; of two equal pairs the later counts. unknown: stands for a byte that has no unit.
  /// Throws ErrorKind::model, without a file, where a unit is missing and there is no unknown.
  BytePairs(const std::unordered_map<std::string_view, int32_t>& ids, const std::vector<BytePairMerge>& merges,
            std::optional<int32_t> unknown);

  /// Appends the ids of one word (any bytes). O(n log n) in its length.
  void encode(std::string_view word, std::vector<int64_t>& out) const;

 private:
  struct Ranked {
    int32_t rank, merged;
  };
  const Ranked* find(int32_t left, int32_t right) const;

  std::array<int32_t, 256> inner_{}, last_{};  // by byte: its id inside a word and as the last of one
  std::unordered_map<uint64_t, Ranked> ranks_;
};

}  // namespace sdtorch
