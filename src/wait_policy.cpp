// How threads wait for one another. The OpenMP library that LibTorch brings lets them spin, for some milliseconds each
// time: beside another program that wants the cores, a picture of a second then takes half a minute, since a thread
// that spins holds the core that the one it waits for needs. It reads its settings once, when it is loaded, which is
// before main: so it is said before any library begins, and where there is no room to say it, the program begins anew.
// For Linux, and for programs without AddressSanitizer, which has its own beginning before all others.
#include <linux/limits.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>

namespace {

/// Turns of a loop, some microseconds: as long as the gap between two layers, and no longer.
char spin_count[] = "GOMP_SPINCOUNT=2000";

bool begins_with(const char* text, const char* prefix) {
  while (*prefix != '\0' && *text == *prefix) ++text, ++prefix;
  return *prefix == '\0';
}

/// Whoever has said how to wait is heeded; and so this happens once.
bool is_said(char** environment) {
  for (char** entry = environment; *entry; ++entry) {
    if (begins_with(*entry, "GOMP_SPINCOUNT=") || begins_with(*entry, "OMP_WAIT_POLICY=")) return true;
  }
  return false;
}

/// Says it in the place of `_`, by which a shell names the program that it starts, and which nothing reads.
bool say_instead(char** environment) {
  for (char** entry = environment; *entry; ++entry) {
    if (!begins_with(*entry, "_=")) continue;
    *entry = spin_count;
    return true;
  }
  return false;
}

/// No library is ready here, libc neither: nothing but system calls.
void begin_anew(int, char** argv, char** environment) {
  constexpr size_t most = 4096;
  static char* extended[most + 2];
  static char program[PATH_MAX];
  if (is_said(environment) || say_instead(environment)) return;
  size_t count = 0;
  for (; environment[count]; ++count) {
    if (count == most) return;
    extended[count] = environment[count];
  }
  extended[count] = spin_count;
  const long length = syscall(SYS_readlink, "/proc/self/exe", program, sizeof program - 1);
  if (length <= 0) return;
  program[length] = '\0';
  syscall(SYS_execve, program, argv, extended);  // where it fails the program runs on, as it would have
}

/// Called before the libraries' own beginnings.
[[gnu::section(".preinit_array"), gnu::used]] void (*const before_libraries)(int, char**, char**) = begin_anew;

}  // namespace
