// The command line, carried out.
#pragma once

namespace sdtorch {

/// Reads the command line and does what it asks. Returns the exit code, 0; throws sdtorch::Error.
int run_command_line(int argc, const char* const* argv);

}  // namespace sdtorch
