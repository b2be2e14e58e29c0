#include "core/interrupt.hpp"

#include <unistd.h>

#include <csignal>
#include <string_view>

#include "core/error.hpp"

namespace sdtorch {
namespace {

volatile std::sig_atomic_t received = 0;

}  // namespace

extern "C" {
static void note_signal(int signal) { received = signal; }

/// Calls only what a handler may call.
static void end_process(int signal) {
  constexpr std::string_view interrupted = "error: interrupted\n", terminated = "error: terminated\n";
  const std::string_view line = signal == SIGINT ? interrupted : terminated;
  const ssize_t told = write(STDERR_FILENO, line.data(), line.size());
  static_cast<void>(told);  // nobody may listen
  _exit(static_cast<int>(signal == SIGINT ? ErrorKind::interrupted : ErrorKind::terminated));
}
}

namespace {

void handle_by(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;  // the next one does what it does by default
  sigemptyset(&action.sa_mask);
  received = 0;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

void end_at_interrupts() {
  handle_by(end_process);
  std::signal(SIGPIPE, SIG_IGN);
}

void watch_for_interrupts() { handle_by(note_signal); }

void throw_if_interrupted() {
  if (received == SIGINT) throw Error(ErrorKind::interrupted, {.reason = "interrupted"});
  if (received == SIGTERM) throw Error(ErrorKind::terminated, {.reason = "terminated"});
}

}  // namespace sdtorch
