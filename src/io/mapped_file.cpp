#include "io/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <system_error>

namespace sdtorch {
namespace {

/// An open file descriptor, closed at the end of its scope.
struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) close(number);
  }
};

/// The target is the next one of a chain of links.
std::string link_to_nothing(const std::filesystem::path& path) {
  std::error_code ignored;
  return "is a link to " + std::filesystem::read_symlink(path, ignored).string() + ", which is not there";
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path, ErrorKind kind) : path_(path) {
  const auto fail = [&](const std::string& reason) -> void {
    throw Error(kind, {.file = path.string(), .reason = reason});
  };
  const auto system_reason = [] { return std::generic_category().message(errno); };

  // Not blocking, so that a named pipe is refused below instead of waited for.
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.number < 0) {
    const std::string reason = system_reason();
    std::error_code ignored;
    const bool leads_nowhere = errno == ENOENT && std::filesystem::is_symlink(path, ignored);
    if (leads_nowhere) fail(link_to_nothing(path));
    fail("cannot be opened: " + reason);
  }
  struct stat status {};
  if (fstat(file.number, &status) != 0) fail("cannot be examined: " + system_reason());
  if (S_ISDIR(status.st_mode)) fail("is a folder, a file was expected");
  if (!S_ISREG(status.st_mode)) fail("is no regular file");
  if (status.st_size == 0) return;

  const auto size = static_cast<size_t>(status.st_size);
  const void* address = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number, 0);
  if (address == MAP_FAILED && errno == ENOMEM) {
    throw Error(ErrorKind::memory, {.file = path.string(),
                                    .reason = "cannot be mapped: " + system_reason(),
                                    .hint = "ulimit -v leaves less room than the file needs"});
  }
  if (address == MAP_FAILED) fail("cannot be mapped: " + system_reason());
  bytes_ = {static_cast<const std::byte*>(address), size};
}

void MappedFile::release(std::span<const std::byte> part) const {
  if (part.empty()) return;
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(part.data()) / page * page;  // the mapping begins at a page, too
  const auto end = reinterpret_cast<uintptr_t>(part.data() + part.size());
  madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace sdtorch
