#if SDTORCH_CATCH_VERSION >= 3
#include <catch2/catch_session.hpp>
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#endif
#include <ATen/Parallel.h>

#include "cli/report.hpp"

int main(int argc, char** argv) {
  at::set_num_threads(1);  // goldens are made on one thread; sums in another order differ in the last bits
  sdtorch::set_log_sink(sdtorch::print_log_line);  // as the tool does
  return Catch::Session().run(argc, argv);
}
