#include "jobs/output_folder.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "core/error.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

fs::path or_current(const fs::path& folder) { return folder.empty() ? fs::path(".") : folder; }

void check_writable(const fs::path& folder) {
  if (access(folder.c_str(), W_OK | X_OK) == 0) return;
  fail(ErrorKind::output, folder, {}, fmt::format("cannot be written to: {}", std::generic_category().message(errno)));
}

}  // namespace

void check_folder(const fs::path& folder) {
  std::error_code error;
  fs::path there = fs::absolute(or_current(folder), error);
  while (!error && !fs::exists(there, error) && !error && there != there.parent_path()) there = there.parent_path();
  if (error) fail(ErrorKind::output, folder, {}, error.message());
  if (!fs::is_directory(there, error)) fail(ErrorKind::output, there, {}, "is not a folder");
  check_writable(there);
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(or_current(folder), error);
  if (error && !fs::is_directory(or_current(folder)))
    fail(ErrorKind::output, folder, {}, fmt::format("cannot be made: {}", error.message()));
  check_writable(or_current(folder));
}

void check_file(const fs::path& file) {
  std::error_code error;
  const fs::path folder = or_current(file.parent_path());
  if (!fs::is_directory(folder, error))
    fail(ErrorKind::output, file, {}, "its folder does not exist", "make it first, or give --outdir");
  const fs::file_status status = fs::status(file, error);
  if (fs::is_directory(status)) fail(ErrorKind::output, file, {}, "is a folder");
  if (fs::exists(status) && !fs::is_regular_file(status)) fail(ErrorKind::output, file, {}, "is not a regular file");
  check_writable(folder);
}

}  // namespace sdtorch
