#include "io/folder_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "core/log.hpp"
#include "io/atomic_file.hpp"

namespace sdtorch {
namespace {

using std::chrono::steady_clock;

constexpr useconds_t between_tries = 5'000;  // microseconds
constexpr std::chrono::seconds silence{1}, patience{10};

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder, bool wait)
    : path_((folder.empty() ? std::filesystem::path(".") : folder) / name) {
  const auto begun = steady_clock::now();
  for (bool told = false; !try_lock();) {
    throw_if_interrupted();
    const auto waited = steady_clock::now() - begun;
    if (!wait && waited > patience) {
      fail(ErrorKind::in_use, path_, "", "another run begins in this folder, and does not go on",
           "--wait waits for it");
    }
    if (!told && waited > silence) {
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
  const bool once_more = error == 0 || error == EWOULDBLOCK || error == EINTR;
  if (file_ >= 0 && !once_more) unlink(path_.c_str());  // nobody has it where none can be locked
  if (file_ >= 0) close(std::exchange(file_, -1));
  if (once_more) return false;
  fail(ErrorKind::output, path_, "", fmt::format("{}: {}", failed, std::generic_category().message(error)));
}

}  // namespace sdtorch
