#include "jobs/output_folder.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>

#include "core/error.hpp"
#include "core/paths.hpp"
#include "io/atomic_file.hpp"
#include "io/png_text.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

fs::path or_current(const fs::path& folder) { return folder.empty() ? fs::path(".") : folder; }

void check_writable(const fs::path& folder) {
  if (access(folder.c_str(), W_OK | X_OK) == 0) return;
  fail(ErrorKind::output, folder, {}, fmt::format("cannot be written to: {}", std::generic_category().message(errno)));
}

/// Makes a folder and what is missing above it, each safe against a power cut.
void make_folders(const fs::path& folder, std::error_code& error) {
  std::error_code ignored;
  if (folder.empty() || fs::is_directory(folder, ignored)) return;
  make_folders(folder.parent_path(), error);
  if (!error && fs::create_directory(folder, error)) sync_folder(or_current(folder.parent_path()));
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
  make_folders(folder, error);
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

void check_free_or_own(const fs::path& file, std::string_view keyword, std::string_view what, std::string_view flag) {
  if (!is_there(file) || carries_text(file, keyword)) return;
  fail(ErrorKind::output, file, {}, fmt::format("is there already, and no {}", what),
       fmt::format("name another by {} FILE.png", flag));
}

std::vector<std::string> file_names(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(or_current(folder), error), end; !error && entry != end;) {
    names.push_back(entry->path().filename().string());
    entry.increment(error);
  }
  if (error) fail(ErrorKind::output, folder, {}, "cannot be listed: " + error.message());
  std::ranges::sort(names);
  return names;
}

int64_t next_index(const fs::path& folder, const NameTemplate& names) {
  int64_t next = 0;
  for (const std::string& name : file_names(folder)) {
    const auto index = names.index_in(name);
    if (index && *index >= next) next = *index + 1;
  }
  return next;
}

}  // namespace sdtorch
