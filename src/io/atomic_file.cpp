#include "io/atomic_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

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
    temporary_ = folder / fmt::format(".sdtorch-{}-{}.tmp", getpid(), attempt);
    file_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file_ < 0 && (errno != EEXIST || attempt == 1000)) {
      const int reason = errno;
      temporary_.clear();
      fail("cannot be written", reason);
    }
  }
}

AtomicFile::~AtomicFile() {
  if (file_ >= 0) close(file_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_, bytes.data(), std::min(bytes.size(), max_write));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("cannot be written", errno);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

void AtomicFile::close_synced() {
  if (fsync(file_) != 0) fail("cannot be synced", errno);
  // Some network file systems report a failed write only when the file is closed.
  const int file = std::exchange(file_, -1);
  if (close(file) != 0) fail("cannot be closed", errno);
}

bool AtomicFile::commit_new() {
  close_synced();
  // A second link, unlike a rename, fails where the name is taken. Some file systems have no links.
  const bool linked = link(temporary_.c_str(), target_.c_str()) == 0;
  if (!linked) {
    if (errno == EEXIST) return false;
    if (errno != EPERM && errno != ENOTSUP && errno != ENOSYS) fail("cannot be put in place", errno);
    if (fs::exists(fs::symlink_status(target_))) return false;
    if (std::rename(temporary_.c_str(), target_.c_str()) != 0) fail("cannot be put in place", errno);
    temporary_.clear();
  }
  sync_folder(folder_of(target_));
  return true;
}

void AtomicFile::commit() {
  close_synced();
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0) fail("cannot be put in place", errno);
  temporary_.clear();
  sync_folder(folder_of(target_));
}

void AtomicFile::fail(const char* what, int error) const {
  throw Error(ErrorKind::output, {.file = path_.string(), .reason = fmt::format("{}: {}", what, system_reason(error))});
}

void write_file_atomically(const fs::path& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file_atomically(const fs::path& path, std::string_view text) {
  write_file_atomically(path, std::as_bytes(std::span(text.data(), text.size())));
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
