#include "io/atomic_folder.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <system_error>
#include <vector>

#include "core/error.hpp"
#include "io/atomic_file.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

void check(const fs::path& path, const std::error_code& error, const char* what) {
  if (error) fail(ErrorKind::output, path, {}, fmt::format("{}: {}", what, error.message()));
}

/// Without the slash at its end, so that it has a name and a parent.
fs::path with_name(const fs::path& path) {
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error).lexically_normal();
  check(path, error, "cannot be made");
  return absolute.has_filename() ? absolute : absolute.parent_path();
}

}  // namespace

AtomicFolder::AtomicFolder(const fs::path& path) {
  if (path.empty()) fail(ErrorKind::output, path, {}, "a folder's name was expected, found an empty one");
  target_ = with_name(path);
  std::error_code error;
  const fs::file_status status = fs::status(target_, error);
  target_is_there_ = fs::exists(status);
  if (target_is_there_ && !fs::is_directory(status))
    fail(ErrorKind::output, target_, {}, "is there already and no folder");
  if (target_is_there_) {
    const bool empty = fs::is_empty(target_, error);
    check(target_, error, "cannot be read");
    if (!empty) fail(ErrorKind::output, target_, {}, "is there already and not empty");
  } else {
    fs::create_directories(target_.parent_path(), error);
    check(target_, error, "cannot be made");
  }
  const fs::path place = target_is_there_ ? target_ : target_.parent_path();
  for (int attempt = 0;; ++attempt) {
    const fs::path name = place / fmt::format(".sdtorch-{}-{}.tmp", getpid(), attempt);
    const bool made = fs::create_directory(name, error);
    check(target_, error, "cannot be made");
    if (!made) continue;
    temporary_ = name;
    return;
  }
}

AtomicFolder::~AtomicFolder() {
  std::error_code ignored;
  if (!temporary_.empty()) fs::remove_all(temporary_, ignored);
}

void AtomicFolder::commit() {
  std::error_code error;
  if (!target_is_there_) {
    fs::rename(temporary_, target_, error);
    check(target_, error, "cannot be put in place");
    temporary_.clear();
    sync_folder(target_.parent_path());
    return;
  }
  // Not renamed over the empty folder: it may be somebody's current one, or a mount point.
  std::vector<fs::path> entries;
  for (const fs::directory_entry& entry : fs::directory_iterator(temporary_, error)) entries.push_back(entry.path());
  check(target_, error, "cannot be put in place");
  for (const fs::path& entry : entries) {
    fs::rename(entry, target_ / entry.filename(), error);
    if (!error) continue;
    const std::error_code reason = error;
    for (const fs::path& moved : entries) fs::remove_all(target_ / moved.filename(), error);
    check(target_, reason, "cannot be put in place");
  }
  fs::remove(temporary_, error);
  temporary_.clear();
  sync_folder(target_);
}

}  // namespace sdtorch
