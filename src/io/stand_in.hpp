// What downloads leave in place of a file: told by its first bytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/error.hpp"

namespace sdtorch {

struct StandIn {
  std::string_view begin;  ///< the file's first bytes
  std::string_view what;   ///< "is a web page"
  std::string_view hint;   ///< how to come by the file itself
};

/// None for files that are what they should be, and for others that are not. Space in front does not count.
std::optional<StandIn> stand_in(std::string_view text);

/// Throws an error of this kind, naming the file, where its text is a stand-in.
void refuse_stand_in(std::string_view text, const std::string& file, ErrorKind kind);

/// The text behind a byte order mark, spaces and line breaks.
std::string_view without_space_in_front(std::string_view text);

}  // namespace sdtorch
