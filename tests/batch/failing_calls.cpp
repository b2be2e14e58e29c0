// A library to be loaded before all others (LD_PRELOAD) that makes file-system calls below one folder fail: how the
// tests here see to disks that are full, broken or read-only, and to processes that end in the middle of publishing. It
// is told by the environment:
//   SDTORCH_FAULT_FOLDER   the calls on this folder, and on what is below it, count; no others
//   SDTORCH_FAULT_LOG      a file that gets a line a call: its name and path
//   SDTORCH_FAULT_CALL, SDTORCH_FAULT_AT   the name of a call, and which of them is meant, from 1
//   SDTORCH_FAULT_HOW      what becomes of it: an errno as a number; `short` writes a half; `kill-before`, `kill-after`
//   SDTORCH_FAULT_LASTS    if set, all later calls of the name fail as well
//   SDTORCH_FAULT_ROOM     bytes that writes may take in all; then the disk is full
//   SDTORCH_FAULT_WITHOUT  what the file system has not: `tmpfile`, or `tmpfile,link`
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#undef fopen
#undef fopen64

namespace {

std::string from_environment(const char* name) {
  const char* text = std::getenv(name);
  return text ? text : "";
}

/// The function that is called where this library is not loaded.
template <typename Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

struct Plan {
  std::string folder = from_environment("SDTORCH_FAULT_FOLDER");
  std::string call = from_environment("SDTORCH_FAULT_CALL");
  std::string how = from_environment("SDTORCH_FAULT_HOW");
  std::string without = from_environment("SDTORCH_FAULT_WITHOUT");
  long at = std::atol(from_environment("SDTORCH_FAULT_AT").c_str());
  bool lasts = !from_environment("SDTORCH_FAULT_LASTS").empty();
  bool has_room = !from_environment("SDTORCH_FAULT_ROOM").empty();
  std::atomic<long> room{std::atol(from_environment("SDTORCH_FAULT_ROOM").c_str())};
  std::atomic<long> met{0};
  int log = -1;

  Plan() {
    const std::string file = from_environment("SDTORCH_FAULT_LOG");
    if (!file.empty()) {
      log = next<int(const char*, int, ...)>("open")(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    }
  }
};

Plan& plan() {
  static Plan* const one = new Plan;  // never destroyed: calls come until the very end
  return *one;
}

bool concerns(const std::string& path) {
  const std::string& folder = plan().folder;
  return !folder.empty() && path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

std::string absolute(const char* path) {
  if (!path) return {};
  if (path[0] == '/') return path;
  char here[PATH_MAX];
  return getcwd(here, sizeof here) ? std::string(here) + "/" + path : path;
}

/// Where an open file lies; one without a name is `FOLDER/#123 (deleted)`.
std::string place_of(int file) {
  char path[PATH_MAX];
  const std::string self = "/proc/self/fd/" + std::to_string(file);
  const ssize_t length = readlink(self.c_str(), path, sizeof path);
  return length > 0 ? std::string(path, static_cast<size_t>(length)) : std::string();
}

std::string below(int folder, const char* path) {
  if (folder == AT_FDCWD || !path || path[0] == '/') return absolute(path);
  return place_of(folder) + "/" + path;
}

[[noreturn]] void die() {
  for (;;) kill(getpid(), SIGKILL);
}

/// Counts the call. Whether it is the one that is meant.
bool is_met(std::string_view name, const std::string& path) {
  Plan& all = plan();
  if (!concerns(path)) return false;
  if (all.log >= 0) {
    const std::string line = std::string(name) + " " + path + "\n";
    static const auto real = next<ssize_t(int, const void*, size_t)>("write");
    static_cast<void>(real(all.log, line.data(), line.size()));
  }
  if (name != all.call) return false;
  const long number = ++all.met;
  return number == all.at || (all.lasts && number > all.at);
}

template <typename Result>
Result failed(int error) {
  errno = error;
  if constexpr (std::is_pointer_v<Result>) {
    return nullptr;
  } else {
    return -1;
  }
}

/// The call, or its failure.
template <typename Call>
auto call(std::string_view name, const std::string& path, Call real) -> decltype(real()) {
  const int before = errno;
  const bool met = is_met(name, path);
  errno = before;
  const std::string& how = plan().how;
  if (!met || how == "short") return real();
  if (how == "kill-before") die();
  if (how == "kill-after") {
    real();
    die();
  }
  return failed<decltype(real())>(std::atoi(how.c_str()));
}

bool lacks(std::string_view what) { return plan().without.find(what) != std::string::npos; }

template <typename Open>
int open_by(const std::string& path, int flags, Open real) {
  const bool nameless = (flags & O_TMPFILE) == O_TMPFILE;
  if (nameless && lacks("tmpfile") && concerns(path)) return failed<int>(EOPNOTSUPP);
  return call(nameless ? "open-nameless" : "open", path, real);
}

mode_t mode_of(int flags, va_list list) {
  return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(list, mode_t) : 0;
}

template <typename Link>
int link_by(const std::string& path, Link real) {
  if (lacks("link") && concerns(path)) return failed<int>(EPERM);
  return call("link", path, real);
}

/// How many bytes of a write the disk takes; -1 where it is full.
ssize_t taken_of(size_t size, const std::string& path) {
  Plan& all = plan();
  if (!all.has_room || !concerns(path)) return static_cast<ssize_t>(size);
  const long left = all.room;
  if (left <= 0) return -1;
  const long taken = std::min<long>(left, static_cast<long>(size));
  all.room -= taken;
  return taken;
}

}  // namespace

#define REAL(name) static const auto real = next<decltype(name)>(#name)

extern "C" {

int open(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = mode_of(flags, list);
  va_end(list);
  REAL(open);
  return open_by(absolute(path), flags, [&] { return real(path, flags, mode); });
}

int open64(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = mode_of(flags, list);
  va_end(list);
  REAL(open64);
  return open_by(absolute(path), flags, [&] { return real(path, flags, mode); });
}

int openat(int folder, const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = mode_of(flags, list);
  va_end(list);
  REAL(openat);
  return open_by(below(folder, path), flags, [&] { return real(folder, path, flags, mode); });
}

int openat64(int folder, const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = mode_of(flags, list);
  va_end(list);
  REAL(openat64);
  return open_by(below(folder, path), flags, [&] { return real(folder, path, flags, mode); });
}

FILE* fopen(const char* path, const char* mode) {
  REAL(fopen);
  return call("open", absolute(path), [&] { return real(path, mode); });
}

FILE* fopen64(const char* path, const char* mode) {
  REAL(fopen64);
  return call("open", absolute(path), [&] { return real(path, mode); });
}

ssize_t write(int file, const void* bytes, size_t size) {
  REAL(write);
  const std::string path = place_of(file);
  if (plan().how == "short" && size > 1 && is_met("write", path)) return real(file, bytes, size / 2);
  const ssize_t taken = taken_of(size, path);
  if (taken < 0) return failed<ssize_t>(ENOSPC);
  return call("write", path, [&] { return real(file, bytes, static_cast<size_t>(taken)); });
}

ssize_t read(int file, void* bytes, size_t size) {
  REAL(read);
  return call("read", place_of(file), [&] { return real(file, bytes, size); });
}

ssize_t pread(int file, void* bytes, size_t size, off_t offset) {
  REAL(pread);
  return call("read", place_of(file), [&] { return real(file, bytes, size, offset); });
}

ssize_t pread64(int file, void* bytes, size_t size, off64_t offset) {
  REAL(pread64);
  return call("read", place_of(file), [&] { return real(file, bytes, size, offset); });
}

int fsync(int file) {
  REAL(fsync);
  return call("fsync", place_of(file), [&] { return real(file); });
}

int fdatasync(int file) {
  REAL(fdatasync);
  return call("fsync", place_of(file), [&] { return real(file); });
}

int ftruncate(int file, off_t size) noexcept {
  REAL(ftruncate);
  return call("ftruncate", place_of(file), [&] { return real(file, size); });
}

int ftruncate64(int file, off64_t size) noexcept {
  REAL(ftruncate64);
  return call("ftruncate", place_of(file), [&] { return real(file, size); });
}

int flock(int file, int how) noexcept {
  REAL(flock);
  return call("flock", place_of(file), [&] { return real(file, how); });
}

/// Linux closes a file even where it says that this failed.
int close(int file) {
  REAL(close);
  const std::string path = place_of(file);
  if (!concerns(path)) return real(file);
  const int closed = call("close", path, [&] { return real(file); });
  if (closed != 0) {
    const int error = errno;
    real(file);
    errno = error;
  }
  return closed;
}

int link(const char* from, const char* to) noexcept {
  REAL(link);
  return link_by(absolute(to), [&] { return real(from, to); });
}

int linkat(int from_folder, const char* from, int to_folder, const char* to, int flags) noexcept {
  REAL(linkat);
  return link_by(below(to_folder, to), [&] { return real(from_folder, from, to_folder, to, flags); });
}

int rename(const char* from, const char* to) noexcept {
  REAL(rename);
  return call("rename", absolute(to), [&] { return real(from, to); });
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned int flags) noexcept {
  REAL(renameat2);
  return call("rename", below(to_folder, to), [&] { return real(from_folder, from, to_folder, to, flags); });
}

int unlink(const char* path) noexcept {
  REAL(unlink);
  return call("unlink", absolute(path), [&] { return real(path); });
}

int unlinkat(int folder, const char* path, int flags) noexcept {
  REAL(unlinkat);
  return call("unlink", below(folder, path), [&] { return real(folder, path, flags); });
}

int remove(const char* path) noexcept {
  REAL(remove);
  return call("unlink", absolute(path), [&] { return real(path); });
}

int mkdir(const char* path, mode_t mode) noexcept {
  REAL(mkdir);
  return call("mkdir", absolute(path), [&] { return real(path, mode); });
}

int access(const char* path, int how) noexcept {
  REAL(access);
  return call("access", absolute(path), [&] { return real(path, how); });
}

DIR* opendir(const char* path) {
  REAL(opendir);
  return call("opendir", absolute(path), [&] { return real(path); });
}

DIR* fdopendir(int file) {
  REAL(fdopendir);
  return call("opendir", place_of(file), [&] { return real(file); });
}

dirent* readdir(DIR* folder) {
  REAL(readdir);
  return call("readdir", place_of(dirfd(folder)), [&] { return real(folder); });
}

dirent64* readdir64(DIR* folder) {
  REAL(readdir64);
  return call("readdir", place_of(dirfd(folder)), [&] { return real(folder); });
}

int stat(const char* path, struct stat* status) noexcept {
  REAL(stat);
  return call("stat", absolute(path), [&] { return real(path, status); });
}

int stat64(const char* path, struct stat64* status) noexcept {
  REAL(stat64);
  return call("stat", absolute(path), [&] { return real(path, status); });
}

int lstat(const char* path, struct stat* status) noexcept {
  REAL(lstat);
  return call("stat", absolute(path), [&] { return real(path, status); });
}

int lstat64(const char* path, struct stat64* status) noexcept {
  REAL(lstat64);
  return call("stat", absolute(path), [&] { return real(path, status); });
}

int fstat(int file, struct stat* status) noexcept {
  REAL(fstat);
  return call("stat", place_of(file), [&] { return real(file, status); });
}

int fstat64(int file, struct stat64* status) noexcept {
  REAL(fstat64);
  return call("stat", place_of(file), [&] { return real(file, status); });
}

}  // extern "C"
