// Standard input, output and error of a process that was begun without one of them.
#pragma once

namespace sdtorch {

/// Puts something in the place of standard streams that are closed, before any file is opened: it would get a stream's
/// number, and what is printed would be written into it. Reading the stand-in finds the end, and writing to it fails.
void hold_standard_streams();

/// Whether stderr is a terminal on which lines can be written over (one of TERM=dumb is not).
bool stderr_has_cursor();

}  // namespace sdtorch
