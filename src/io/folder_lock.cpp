#include "io/folder_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

#include "core/error.hpp"
#include "core/log.hpp"
#include "io/atomic_file.hpp"

namespace sdtorch {
namespace {

using std::chrono::steady_clock;

constexpr useconds_t between_tries = 20'000;  // microseconds
constexpr std::chrono::seconds silence{1};

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder, bool wait, std::chrono::milliseconds patience)
    : path_((folder.empty() ? std::filesystem::path(".") : folder) / name) {
  const auto begun = steady_clock::now();
  auto holder_begun = begun;
  uint64_t holder = 0;
  for (bool told = false; !try_lock();) {
    const auto now = steady_clock::now();
    if (holder != last_) holder_begun = now;
    holder = last_;
    if (!wait && now - holder_begun > patience) {
      fail(ErrorKind::in_use, path_, "", "another run begins in this folder, and does not go on",
           "--wait waits for it");
    }
    if (!told && now - begun > silence) {
      log_info(fmt::format("waiting for another run that begins in {}", path_.parent_path().string()));
      told = true;
    }
    usleep(between_tries);
  }
}

FolderLock::~FolderLock() {
  unlink(path_.c_str());  // while it is locked: who waits for it finds that it is gone, and makes another
  close(file_);
}

/// False where another process has it.
bool FolderLock::try_lock() {
  // Not blocking, whatever has the name.
  file_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
  const char* failed = "cannot be opened";
  int error = file_ < 0 ? errno : 0;
  if (error == 0 && flock(file_, LOCK_EX | LOCK_NB) != 0) {
    failed = "cannot be locked";
    error = errno;
  }
  if (error == 0 && is_named(file_, path_)) return true;
  struct stat tried {};
  if (file_ >= 0 && fstat(file_, &tried) == 0) last_ = tried.st_ino;
  if (file_ >= 0) close(std::exchange(file_, -1));
  if (error == 0 || error == EWOULDBLOCK || error == EINTR || error == ESTALE) return false;
  fail(ErrorKind::output, path_, "", fmt::format("{}: {}", failed, std::generic_category().message(error)));
}

}  // namespace sdtorch
