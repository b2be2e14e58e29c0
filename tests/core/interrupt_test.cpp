#include "core/interrupt.hpp"

#include <csignal>

#include "support/catch.hpp"
#include "support/errors.hpp"

using namespace sdtorch;

TEST_CASE("a signal is noted and thrown at the next step", "[core]") {
  watch_for_interrupts();
  CHECK_NOTHROW(throw_if_interrupted());
  std::raise(SIGINT);
  check_error(ErrorKind::interrupted, "interrupted", [] { throw_if_interrupted(); });
  watch_for_interrupts();
  std::raise(SIGTERM);
  check_error(ErrorKind::terminated, "terminated", [] { throw_if_interrupted(); });
  std::signal(SIGINT, SIG_DFL);
  watch_for_interrupts();
  CHECK_NOTHROW(throw_if_interrupted());
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}
