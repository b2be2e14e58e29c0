// Signals: Ctrl-C and SIGTERM end the process, at once or, where files are being written, at the next layer.
#pragma once

namespace sdtorch {

/// From here on SIGINT and SIGTERM end the process at once, with a line on stderr and exit code 130 or 143. For as long
/// as nothing is written that could be left half-done: while input is awaited, models are loaded, times are measured.
/// SIGPIPE is ignored: a reader that went away is an error of the write, with an exit code of its own.
void end_at_interrupts();

/// What the first SIGINT or SIGTERM ends.
enum class InterruptEnds {
  layer,    ///< the work, at the next layer
  pictures  ///< the run, after the pictures in flight; a second signal ends them at the next layer
};

/// From here on signals are told on stderr and noted; one more than `ends` has a use for ends the process at once.
void watch_for_interrupts(InterruptEnds ends = InterruptEnds::layer);

/// Throws ErrorKind::interrupted after SIGINT, ErrorKind::terminated after SIGTERM, once they are to end what is in
/// flight. For a CancelScope.
void throw_if_interrupted();

/// The same once they are to end the run: between pictures, and between other pieces of work.
void throw_if_told_to_end();

}  // namespace sdtorch
