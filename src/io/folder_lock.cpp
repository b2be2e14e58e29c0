#include "io/folder_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "io/atomic_file.hpp"

namespace sdtorch {

namespace {

constexpr useconds_t between_tries = 5'000;  // microseconds

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder)
    : path_((folder.empty() ? std::filesystem::path(".") : folder) / temporary_name("lock")) {
  while (!try_lock()) {
    throw_if_interrupted();
    usleep(between_tries);
  }
}

FolderLock::~FolderLock() {
  unlink(path_.c_str());  // while it is locked: who waits for it finds that it is gone, and makes another
  close(file_);
}

/// False where another process has it.
bool FolderLock::try_lock() {
  file_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
  const char* failed = "cannot be opened";
  int error = file_ < 0 ? errno : 0;
  if (error == 0 && flock(file_, LOCK_EX | LOCK_NB) != 0) {
    failed = "cannot be locked";
    error = errno;
  }
  if (error == 0 && is_named(file_, path_)) return true;
  if (file_ >= 0) close(std::exchange(file_, -1));
  if (error == 0 || error == EWOULDBLOCK || error == EINTR) return false;
  fail(ErrorKind::output, path_, "", fmt::format("{}: {}", failed, std::generic_category().message(error)));
}

}  // namespace sdtorch
