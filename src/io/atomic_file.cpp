#include "io/atomic_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "core/error.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

std::string system_reason(int error) { return std::generic_category().message(error); }

/// Some systems write at most 2 GiB a call.
constexpr size_t max_write = size_t{1} << 30;

fs::path folder_of(const fs::path& file) { return file.has_parent_path() ? file.parent_path() : fs::path("."); }

/// Where a rename must put the file so that a link to it stays a link.
fs::path resolve_links(const fs::path& path) {
  std::error_code error;
  if (!fs::is_symlink(path, error)) return path;
  const fs::path resolved = fs::canonical(path, error);
  return error ? path : resolved;
}

constexpr std::string_view temporary_prefix = ".sdtorch-", temporary_ending = ".tmp";

[[noreturn]] void fail_writing(const fs::path& path, const char* what, int error) {
  throw Error(ErrorKind::output, {.file = path.string(), .reason = fmt::format("{}: {}", what, system_reason(error))});
}

/// All of them. Returns 0, or errno.
int write_all(int file, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), std::min(bytes.size(), max_write));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return 0;
}

/// Locks a file that was just made, which says that its writer lives. False where somebody who looks for abandoned
/// files, and holds them for a moment, was quicker and has removed it.
bool hold(int file, const fs::path& path) {
  while (flock(file, LOCK_EX) != 0) {
    if (errno != EINTR) return true;  // nobody removes files where they cannot be locked
  }
  return is_named(file, path);
}

/// Renames a file unless the name is taken. Returns 0, or errno.
int rename_new(const fs::path& from, const fs::path& to) {
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // What has neither links nor this: of two that come at the same moment, one may replace the other's.
  if (fs::exists(fs::symlink_status(to))) return EEXIST;
  return std::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

/// write_new_file_atomically by a file without a name; nothing where the file system has none.
std::optional<bool> write_nameless(const fs::path& path, std::span<const std::byte> bytes) {
  const int file = open(folder_of(path).c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
  if (file < 0) return std::nullopt;  // what is wrong with the folder, the named file will say
  const char* failed = "cannot be written";
  int error = write_all(file, bytes);
  if (error == 0 && fsync(file) != 0) {
    failed = "cannot be synced";
    error = errno;
  }
  if (error != 0) {
    close(file);
    fail_writing(path, failed, error);
  }
  const std::string self = fmt::format("/proc/self/fd/{}", file);
  const bool linked = linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0;
  const int reason = errno;
  const bool closed = close(file) == 0;  // network file systems may tell of a failed write only now
  const int close_reason = errno;
  if (!linked && reason == EEXIST) return false;
  if (!linked) return std::nullopt;
  if (!closed) {
    unlink(path.c_str());
    fail_writing(path, "cannot be closed", close_reason);
  }
  sync_folder(folder_of(path));
  return true;
}

}  // namespace

AtomicFile::AtomicFile(const fs::path& path) : path_(path), target_(resolve_links(path)) {
  std::error_code error;
  const fs::file_status status = fs::status(target_, error);
  if (fs::is_directory(status)) throw Error(ErrorKind::output, {.file = path.string(), .reason = "is a folder"});
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    throw Error(ErrorKind::output, {.file = path.string(), .reason = "is there already and no regular file"});
  }
  if (!path.has_filename()) throw Error(ErrorKind::output, {.file = path.string(), .reason = "is no file name"});

  // The name is short, so that it fits where the final one does.
  const fs::path folder = folder_of(target_);
  for (int attempt = 0; file_ < 0; ++attempt) {
    temporary_ = folder / fmt::format("{}{}-{}{}", temporary_prefix, getpid(), attempt, temporary_ending);
    file_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file_ < 0 && (errno != EEXIST || attempt == 1000)) {
      const int reason = errno;
      temporary_.clear();
      fail("cannot be written", reason);
    }
    if (file_ >= 0 && !hold(file_, temporary_)) close(std::exchange(file_, -1));
  }
}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) unlink(temporary_.c_str());
  if (file_ >= 0) close(file_);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (const int error = write_all(file_, bytes); error != 0) fail("cannot be written", error);
}

void AtomicFile::sync() {
  if (fsync(file_) != 0) fail("cannot be synced", errno);
  // Some network file systems report a failed write only when the file is closed. Closing a copy tells as well, and
  // keeps the lock for as long as the temporary name is there.
  const int copy = fcntl(file_, F_DUPFD_CLOEXEC, 0);
  if (copy < 0 || close(copy) != 0) fail("cannot be closed", errno);
}

bool AtomicFile::commit_new() {
  sync();
  // A second link, unlike a rename, fails where the name is taken. Some file systems have no links.
  const bool linked = link(temporary_.c_str(), target_.c_str()) == 0;
  if (!linked) {
    if (errno == EEXIST) return false;
    if (errno != EPERM && errno != ENOTSUP && errno != ENOSYS) fail("cannot be put in place", errno);
    const int error = rename_new(temporary_, target_);
    if (error == EEXIST) return false;
    if (error != 0) fail("cannot be put in place", error);
    temporary_.clear();
  }
  sync_folder(folder_of(target_));
  return true;
}

void AtomicFile::commit() {
  sync();
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0) fail("cannot be put in place", errno);
  temporary_.clear();
  sync_folder(folder_of(target_));
}

void AtomicFile::fail(const char* what, int error) const { fail_writing(path_, what, error); }

void write_file_atomically(const fs::path& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file_atomically(const fs::path& path, std::string_view text) {
  write_file_atomically(path, std::as_bytes(std::span(text.data(), text.size())));
}

bool write_new_file_atomically(const fs::path& path, std::span<const std::byte> bytes) {
  if (const auto written = write_nameless(path, bytes)) return *written;
  AtomicFile file(path);
  file.write(bytes);
  return file.commit_new();
}

bool is_named(int file, const fs::path& path) {
  struct stat opened {
  }, named{};
  if (fstat(file, &opened) != 0 || stat(path.c_str(), &named) != 0) return errno != ENOENT && errno != ESTALE;
  return opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

bool is_temporary_name(std::string_view name) {
  return name.starts_with(temporary_prefix) && name.ends_with(temporary_ending);
}

bool is_abandoned(const fs::path& temporary) {
  std::error_code error;
  if (!fs::is_regular_file(fs::symlink_status(temporary, error))) return false;
  const int file = open(temporary.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return errno == EACCES;
  const bool is_held = flock(file, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  const bool is_there = is_named(file, temporary);
  close(file);
  return is_there && !is_held;
}

void remove_abandoned_files(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> abandoned;
  for (fs::directory_iterator entry(folder.empty() ? "." : folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (is_temporary_name(entry->path().filename().string())) abandoned.push_back(entry->path());
  }
  for (const fs::path& path : abandoned) {
    // To be written to, as network file systems want for such a lock; not blocking, whatever has the name.
    const int file = open(path.c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) continue;
    if (flock(file, LOCK_EX | LOCK_NB) == 0 && is_named(file, path)) unlink(path.c_str());
    close(file);
  }
}

void sync_folder(const fs::path& folder) {
  const int file = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = file >= 0 && (fsync(file) == 0 || errno == EINVAL);  // EINVAL: the file system cannot sync one
  const int error = errno;
  if (file >= 0) close(file);
  if (!synced) {
    throw Error(ErrorKind::output,
                {.file = folder.string(), .reason = fmt::format("cannot be synced: {}", system_reason(error))});
  }
}

}  // namespace sdtorch
