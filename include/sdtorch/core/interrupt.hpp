// Ctrl-C and SIGTERM: noted by a signal handler, acted on between steps.
#pragma once

namespace sdtorch {

/// From here on SIGINT and SIGTERM only set a flag; a second one of the same kind ends the process at once.
void watch_for_interrupts();

/// Throws ErrorKind::interrupted after SIGINT, ErrorKind::terminated after SIGTERM. To be called at least once a step.
void throw_if_interrupted();

}  // namespace sdtorch
