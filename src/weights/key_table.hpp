// Two spellings of the same tensor names, as data that is read in either direction.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace sdtorch {

/// Keys alone, for what is told by names.
using KeySet = std::set<std::string, std::less<>>;

/// A whole key, or the beginning of keys up to a dot that is left out, in a foreign file and in our networks.
struct KeyPair {
  std::string theirs, ours;
};

/// Where several beginnings fit a key, the longest counts; of equal ones the first that was given.
class KeyTable {
 public:
  explicit KeyTable(const std::vector<KeyPair>& pairs);

  /// The key in the other spelling, or nothing where no pair fits.
  std::optional<std::string> to_ours(std::string_view key) const;
  std::optional<std::string> to_theirs(std::string_view key) const;

 private:
  using Names = std::map<std::string, std::string, std::less<>>;
  static std::optional<std::string> renamed(const Names& names, std::string_view key);

  Names ours_{}, theirs_{};  // by the other spelling
};

}  // namespace sdtorch
