#include "sdtorch/core/paths.hpp"

#include <system_error>

#include "sdtorch/core/error.hpp"

namespace sdtorch {

std::filesystem::path share_folder() {
  constexpr const char* link = "/proc/self/exe";
  std::error_code error;
  const std::filesystem::path executable = std::filesystem::read_symlink(link, error);
  if (error) {
    throw Error(
        ErrorKind::bug,
        {.file = link, .reason = "the executable's path is not to be had: " + error.message(), .hint = "mount /proc"});
  }
  return executable.parent_path().parent_path() / "share" / "sdtorch";
}

}  // namespace sdtorch
