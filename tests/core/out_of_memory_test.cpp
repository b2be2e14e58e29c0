// Memory that is not to be had.
#include "core/out_of_memory.hpp"

#include <ATen/ATen.h>

#include <system_error>

#include "support/catch.hpp"
#include "support/errors.hpp"

using namespace sdtorch;

// That other libraries leave LibTorch's own switches alone, too: see sentencepiece_first in CMakeLists.txt.
TEST_CASE("a tensor for which there is no memory is an error, and not the end", "[core]") {
  constexpr int64_t petabyte = int64_t{1} << 50;
  const auto ask = [] { at::empty({petabyte}, at::kByte); };
  CHECK_THROWS_AS(ask(), c10::Error);
  check_error(ErrorKind::memory, "out of memory", [&] { naming_out_of_memory(ask); });
}

TEST_CASE("a thread for which there is no room is memory that is not to be had", "[core]") {
  const auto thrown = [](std::errc code) { return std::system_error(std::make_error_code(code)); };
  CHECK(is_out_of_memory(thrown(std::errc::resource_unavailable_try_again)));
  CHECK_FALSE(is_out_of_memory(thrown(std::errc::permission_denied)));
}
