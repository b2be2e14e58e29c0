#include "core/interrupt.hpp"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string_view>

#include "core/error.hpp"
#include "core/standard_streams.hpp"

namespace sdtorch {
namespace {

volatile std::sig_atomic_t received = 0;
volatile std::sig_atomic_t beside_bar = 0;
volatile std::sig_atomic_t uses = 0;  // how many more signals have a use

}  // namespace

// The handlers, and what they call: only what a handler may call.
extern "C" {
static void tell(std::string_view line) {
  const ssize_t told = write(STDERR_FILENO, line.data(), line.size());
  static_cast<void>(told);  // nobody may listen
}

static void note_signal(int signal) {
  const int before = errno;
  received = signal;
  uses = uses - 1;
  if (uses == 0) {  // the next one ends the process, whichever of them it is
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
  }
  if (beside_bar) tell("\r\033[K");  // the line that the progress stands in
  tell(signal == SIGINT ? "interrupted: " : "terminated: ");
  tell(uses > 0 ? "ends after the pictures in flight; again drops them\n" : "ends at the next layer; again ends now\n");
  errno = before;
}

static void end_process(int signal) {
  tell(signal == SIGINT ? "error: interrupted\n" : "error: terminated\n");
  _exit(static_cast<int>(signal == SIGINT ? ErrorKind::interrupted : ErrorKind::terminated));
}
}

namespace {

void handle_by(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  received = 0;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

void end_at_interrupts() {
  handle_by(end_process);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

void watch_for_interrupts(InterruptEnds ends) {
  beside_bar = stderr_has_cursor();
  uses = ends == InterruptEnds::pictures ? 2 : 1;
  handle_by(note_signal);
}

void throw_if_interrupted() {
  if (uses == 0) throw_if_told_to_end();
}

void throw_if_told_to_end() {
  if (received == SIGINT) throw Error(ErrorKind::interrupted, {.reason = "interrupted"});
  if (received == SIGTERM) throw Error(ErrorKind::terminated, {.reason = "terminated"});
}

}  // namespace sdtorch
