// Many requests of one: all combinations of some settings' values.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "jobs/given_flags.hpp"
#include "pipeline/settings.hpp"

namespace sdtorch {

/// One of a sweep's requests, and what made it: "cfg-scale=5 sampler=euler".
struct Variant {
  Settings settings{};
  std::string name{};
};

/// What `--sweep "cfg=5,7.5 sampler=euler,dpm++2m"` says: names of flags that a line may have, in any spelling, each
/// with the values that it takes. Values stand between commas; those with commas or blanks in them in quotes, or with a
/// backslash before each, as in a shell.
class Sweep {
 public:
  /// One request as it is.
  Sweep() = default;

  /// texts: one for each --sweep. Throws ErrorKind::usage naming --sweep and the name:
  /// for names that are unknown, of the whole run or given twice, for values that are empty, that the flag does not
  /// take or that are the same, and for more than 10,000,000 combinations.
  explicit Sweep(const std::vector<std::string>& texts);

  bool empty() const { return dimensions_.empty(); }

  /// What it was made of.
  const std::vector<std::string>& texts() const { return texts_; }

  /// How many requests it makes of one.
  size_t size() const;

  /// Whether it gives the setting of that name.
  bool gives(std::string_view setting) const;

  /// Names of the settings that it gives.
  std::vector<std::string> names() const;

  /// The index-th of them, 0…size()-1: the last dimension varies fastest. It takes the place of what `settings` says.
  /// Not validated.
  Variant variant(const Settings& settings, size_t index) const;

 private:
  struct Dimension {
    const Setting* setting = nullptr;
    std::vector<std::string> values{};
  };

  void add(const std::string& text);

  std::vector<std::string> texts_{};
  std::vector<Dimension> dimensions_{};
};

}  // namespace sdtorch
