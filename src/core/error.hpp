// Throwing sdtorch::Error.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "sdtorch/error.hpp"

namespace sdtorch {

/// Throws: a flag, or a combination of flags, is at fault (ErrorKind::usage).
[[noreturn]] void refuse(std::string_view flag, std::string reason, std::string hint = {});

/// Throws: a file is at fault, at a place in it; an empty place is left out.
[[noreturn]] void fail(ErrorKind kind, const std::filesystem::path& file, std::string place, std::string reason,
                       std::string hint = {});

}  // namespace sdtorch
