// What diffusion/ refuses, in the words of the command line.
#pragma once

#include <utility>

#include "core/error.hpp"

namespace sdtorch {

/// diffusion/ knows choices by name alone: the place of an ErrorKind::usage is a choice's name, and in reasons and
/// hints such names stand in braces. Both become flags: {spacing} is --spacing.
Error with_flags(const Error& error);

/// Calls f; what it refuses is refused in flags.
template <typename F>
auto in_flags(F&& f) -> decltype(f()) {
  try {
    return std::forward<F>(f)();
  } catch (const Error& error) {
    throw with_flags(error);
  }
}

}  // namespace sdtorch
