// How names of samplers and schedules are compared, since every tool spells them in its own way.
#pragma once

#include <cctype>
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

}  // namespace sdtorch
