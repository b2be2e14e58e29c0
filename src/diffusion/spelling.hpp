// How names of samplers and schedules are compared, since every tool spells them in its own way.
#pragma once

#include <array>
#include <cctype>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>

namespace sdtorch {

/// Lower case, without spaces, underscores and hyphens.
inline std::string squeezed(std::string_view name) {
  std::string text;
  for (const char c : name) {
    if (c != ' ' && c != '_' && c != '-') text += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return text;
}

/// Other spellings of a name, as `squeezed` leaves them: at most eight, in a constant that needs no array beside it.
class Aliases {
 public:
  constexpr Aliases() = default;
  constexpr Aliases(std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) names_.at(count_++) = name;
  }
  constexpr const std::string_view* begin() const { return names_.data(); }
  constexpr const std::string_view* end() const { return names_.data() + count_; }

 private:
  std::array<std::string_view, 8> names_{};
  size_t count_ = 0;
};

}  // namespace sdtorch
