#include "core/paths.hpp"

#include <dlfcn.h>

#include <system_error>

#include "core/error.hpp"

namespace sdtorch {

namespace {

namespace fs = std::filesystem;

/// The folder of the library that this function is in, links followed; empty where the system does not tell.
fs::path library_folder() {
  Dl_info info{};
  std::error_code error;
  if (dladdr(reinterpret_cast<const void*>(&is_folder), &info) == 0 || !info.dli_fname) return {};
  const fs::path library = fs::canonical(info.dli_fname, error);
  return error ? fs::path() : library.parent_path();
}

}  // namespace

std::filesystem::path share_folder() {
  // build/share beside the library, and share beside lib/sdtorch in an installed tree, whatever program uses it.
  fs::path above = library_folder();
  for (int level = 0; level < 3 && !above.empty(); ++level, above = above.parent_path()) {
    if (is_folder(above / "share" / "sdtorch")) return above / "share" / "sdtorch";
  }
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
