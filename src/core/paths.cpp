#include "core/paths.hpp"

#include <system_error>

#include "core/error.hpp"

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

bool is_there(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

bool is_folder(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

}  // namespace sdtorch
