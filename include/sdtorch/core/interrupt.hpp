// Signals: Ctrl-C and SIGTERM are noted by a handler and acted on between steps.
#pragma once

namespace sdtorch {

/// From here on SIGINT and SIGTERM only set a flag; a second one of the same kind ends the process at once.
/// SIGPIPE is ignored: a reader that went away is an error of the write, with an exit code of its own.
void watch_for_interrupts();

/// Throws ErrorKind::interrupted after SIGINT, ErrorKind::terminated after SIGTERM. To be called at least once a step.
void throw_if_interrupted();

}  // namespace sdtorch
