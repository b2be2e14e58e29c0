// argv → Invocation → run → exit code. The one place that catches.
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include "cli/report.hpp"
#include "cli/run.hpp"
#include "core/error.hpp"
#include "core/log.hpp"
#include "core/out_of_memory.hpp"
#include "core/standard_streams.hpp"

/// Null but where LeakSanitizer is linked.
extern "C" [[gnu::weak]] void __lsan_do_leak_check();

namespace {

int fail(sdtorch::ErrorKind kind, const std::string& message) {
  sdtorch::log_error(message);
  return static_cast<int>(kind);
}

/// Its exit code.
int run(int argc, char** argv) {
  using sdtorch::ErrorKind;
  sdtorch::set_log_sink(sdtorch::print_log_line);
  try {
    return sdtorch::naming_out_of_memory([&] { return sdtorch::run_command_line(argc, argv); });
  } catch (const sdtorch::Error& error) {
    return fail(error.kind(), error.what());
  } catch (const c10::Error& error) {
    return fail(ErrorKind::bug, fmt::format("a bug in sdtorch: {}", error.what_without_backtrace()));
  } catch (const std::exception& error) {
    return fail(ErrorKind::bug, fmt::format("a bug in sdtorch: {}", error.what()));
  }
}

}  // namespace

int main(int argc, char** argv) {
  sdtorch::hold_standard_streams();
  const int code = run(argc, argv);
  if (__lsan_do_leak_check) return code;  // which comes behind the libraries' own endings
  // What LibTorch would take a tenth of a second to free piece by piece, the system takes back at once.
  std::fflush(nullptr);
  std::_Exit(code);
}
