#include "sdtorch/core/interrupt.hpp"

#include <csignal>

#include "sdtorch/core/error.hpp"

namespace sdtorch {
namespace {

volatile std::sig_atomic_t received = 0;

}  // namespace

extern "C" {
static void note_signal(int signal) { received = signal; }
}

void watch_for_interrupts() {
  struct sigaction action {};
  action.sa_handler = note_signal;
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;  // the next one does what it does by default
  sigemptyset(&action.sa_mask);
  received = 0;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

void throw_if_interrupted() {
  if (received == SIGINT) throw Error(ErrorKind::interrupted, {.reason = "interrupted"});
  if (received == SIGTERM) throw Error(ErrorKind::terminated, {.reason = "terminated"});
}

}  // namespace sdtorch
