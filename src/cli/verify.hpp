// `sdtorch verify`: whether a folder holds what its journal and its prompt file say.
#pragma once

#include <filesystem>

#include "cli/flags.hpp"

namespace sdtorch {

struct Invocation;

struct VerifyOptions {
  std::filesystem::path folder{};
  bool join = false;  ///< put the journals of shards together
  bool json = false;
};

/// What it takes beside the settings.
FlagGroup verify_flags(VerifyOptions& options);

/// Prints what it finds. Returns the exit code: 0, or 3 where a picture is not as it should be.
int verify_command(const Invocation& invocation);

}  // namespace sdtorch
