// Signals: Ctrl-C and SIGTERM end the process, at once or, where files are being written, at the next layer.
#pragma once

namespace sdtorch {

/// From here on SIGINT and SIGTERM end the process at once, with a line on stderr and exit code 130 or 143. For as long
/// as nothing is written that could be left half-done: while input is awaited, models are loaded, times are measured.
/// SIGPIPE is ignored: a reader that went away is an error of the write, with an exit code of its own.
void end_at_interrupts();

/// From here on the first SIGINT or SIGTERM says on stderr that it has come and sets a flag; a second one of either
/// kind ends the process at once.
void watch_for_interrupts();

/// Throws ErrorKind::interrupted after SIGINT, ErrorKind::terminated after SIGTERM. For a CancelScope, and between
/// pieces of work.
void throw_if_interrupted();

}  // namespace sdtorch
