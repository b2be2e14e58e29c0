#include "core/standard_streams.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <initializer_list>
#include <string_view>

namespace sdtorch {

void hold_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) >= 0) continue;
    // The lowest number that is free is this one; those before it are taken.
    static_cast<void>(open("/dev/null", O_RDONLY));
  }
}

bool stderr_has_cursor() {
  const char* const term = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && (!term || std::string_view(term) != "dumb");
}

}  // namespace sdtorch
