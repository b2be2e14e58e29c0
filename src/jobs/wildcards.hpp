// `__name__` in prompts: a line of the file name.txt, chosen by the picture's seed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sdtorch {

/// Which of a picture's texts wildcards stand in: each has choices of its own.
enum class PromptSide { prompt = 1, negative = 2 };

/// Whether a text holds what may be a wildcard.
bool has_wildcards(std::string_view text);

/// The texts of a folder: `__animals/cats__` stands for a line of animals/cats.txt there, as in A1111's Dynamic
/// Prompts. Lines are UTF-8, blanks at their ends left out; blank ones and those that start with `#` are none. Lines
/// may hold wildcards themselves.
///
/// Which line it is depends on the picture's seed and the wildcard's place among the text's wildcards, and on nothing
/// else. With
///   mix(z):   z ^= z >> 30; z *= 0xBF58476D1CE4E5B9; z ^= z >> 27; z *= 0x94D049BB133111EB; z ^= z >> 31
/// (SplitMix64's; Steele, Lea and Flood 2014, all mod 2^64) and g = 0x9E3779B97F4A7C15, a text's key is mix(seed + g)
/// for the prompt and mix(seed + 2 g) for the negative prompt. The i-th wildcard of a text (from 1) has the key k =
/// mix(key + i g); it is line floor((k >> 32) n / 2^32) of the n lines, from 0; and k is the key of the text that this
/// line is.
class Wildcards {
 public:
  /// Throws ErrorKind::usage naming --wildcards where there is no such folder.
  explicit Wildcards(std::filesystem::path folder);

  /// As it was given.
  const std::filesystem::path& folder() const { return folder_; }

  /// The text with a line for each wildcard, of a picture with that seed. Throws ErrorKind::usage naming the side's
  /// flag for a name without a file (with those that are near) or one that leaves the folder, and ErrorKind::input
  /// naming the file for one that is not UTF-8, has no lines, leads back to itself or nests more than 20 deep, and for
  /// a text that grows above 1 MiB.
  std::string expand(std::string_view text, uint64_t seed, PromptSide side);

 private:
  struct List {
    std::vector<std::string> lines{};
    size_t depth = 1;  ///< of the lists that its lines lead to, itself included
  };

  const List& list(const std::string& name, const std::string& flag);
  List read(const std::string& name, const std::string& flag);
  std::filesystem::path file_of(const std::string& name, const std::string& flag) const;
  std::string nearest_names(const std::string& name) const;
  void replace(std::string_view text, uint64_t key, const std::string& flag, std::string& made);

  std::filesystem::path folder_;
  std::filesystem::path root_;             ///< the same without symbolic links
  std::map<std::string, List> lists_{};    ///< by name, read once
  std::vector<std::string> being_read_{};  ///< names that led to the one that is read, itself last
};

}  // namespace sdtorch
