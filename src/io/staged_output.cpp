#include "io/staged_output.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>

#include "core/error.hpp"
#include "io/atomic_file.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

void check_moved(const fs::path& path, const std::error_code& error, const char* what) {
  if (error) fail(ErrorKind::output, path, {}, fmt::format("{}: {}", what, error.message()));
}

bool is_taken(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

[[noreturn]] void fail_taken(const fs::path& path) {
  fail(ErrorKind::output, path, {}, "is there already", "--force replaces it");
}

}  // namespace

StagedOutput::StagedOutput(const fs::path& folder) : folder_(folder.empty() ? fs::path(".") : folder) {
  std::error_code error;
  fs::create_directories(folder_, error);
  check_moved(folder_, error, "cannot be made");
  for (int attempt = 0;; ++attempt) {
    const fs::path name = folder_ / fmt::format(".sdtorch-{}-{}.tmp", getpid(), attempt);
    const bool made = fs::create_directory(name, error);
    check_moved(folder_, error, "cannot be written to");
    if (!made) continue;
    temporary_ = name;
    aside_ = name / "replaced";
    return;
  }
}

StagedOutput::~StagedOutput() {
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);
}

fs::path StagedOutput::add(const std::string& name) {
  names_.push_back(name);
  const fs::path place = temporary_ / "new";
  std::error_code error;
  fs::create_directories(place, error);
  check_moved(folder_ / name, error, "cannot be made");
  return place / name;
}

void StagedOutput::set_aside(const std::string& name) {
  std::error_code error;
  fs::create_directories(aside_, error);
  check_moved(folder_ / name, error, "cannot be replaced");
  fs::rename(folder_ / name, aside_ / name, error);
  check_moved(folder_ / name, error, "cannot be replaced");
  moved_.push_back(name);
}

void StagedOutput::put_in_place(const std::string& name, bool replace) {
  const fs::path from = temporary_ / "new" / name, to = folder_ / name;
  std::error_code error;
  if (is_taken(to)) {
    const bool empty_folder = fs::is_directory(to, error) && fs::is_empty(to, error);
    if (!replace && !empty_folder) fail_taken(to);
    set_aside(name);
  }
  fs::rename(from, to, error);
  check_moved(to, error, "cannot be put in place");
  placed_.push_back(name);
}

void StagedOutput::undo() {
  std::error_code ignored;
  for (const std::string& name : placed_) fs::remove_all(folder_ / name, ignored);
  for (const std::string& name : moved_) fs::rename(aside_ / name, folder_ / name, ignored);
}

void StagedOutput::commit(bool replace) {
  try {
    for (const std::string& name : removed_) {
      const bool again = std::ranges::find(names_, name) != names_.end();
      if (again || !is_taken(folder_ / name)) continue;
      if (!replace) fail_taken(folder_ / name);
      set_aside(name);
    }
    for (const std::string& name : names_) put_in_place(name, replace);
    sync_folder(folder_);
  } catch (...) {
    undo();
    throw;
  }
}

}  // namespace sdtorch
