#include "jobs/worker_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <system_error>

#include "core/error.hpp"

namespace sdtorch {
namespace {

constexpr int no_program = 127;  // exit code where exec fails, as shells have it

[[noreturn]] void fail_to_start(const char* what, int error) {
  fail(ErrorKind::bug, this_program, "", fmt::format("{}: {}", what, std::generic_category().message(error)));
}

struct Pipe {
  int from = -1, to = -1;

  Pipe() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) fail_to_start("no pipe to a worker", errno);
    from = above_streams(ends[0]);
    to = above_streams(ends[1]);
  }

  /// A process whose own streams are closed gets their numbers, in which a child's are then put.
  static int above_streams(int file) {
    constexpr int first_other = 3;
    if (file >= first_other) return file;
    const int moved = fcntl(file, F_DUPFD_CLOEXEC, first_other);
    if (moved < 0) fail_to_start("no pipe to a worker", errno);
    close(file);
    return moved;
  }
};

void close_file(int& file) {
  if (file >= 0) close(file);
  file = -1;
}

void never_wait(int file) { fcntl(file, F_SETFL, fcntl(file, F_GETFL) | O_NONBLOCK); }

/// What the child does between fork and exec: nothing but system calls.
[[noreturn]] void become_worker(pid_t parent, std::array<int, 3> streams, const char* program, char** argv,
                                char** variables) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(no_program);  // it died meanwhile
  setpgid(0, 0);
  for (int stream = 0; stream < 3; ++stream) {
    if (dup2(streams[static_cast<size_t>(stream)], stream) < 0) _exit(no_program);
  }
  close_range(3, ~0U, 0);  // locks of the parent's journals, which are not to outlive it
  execve(program, argv, variables);
  _exit(no_program);
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  all.reserve(texts.size() + 1);
  for (std::string& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

/// This process's variables and some of their own.
std::vector<std::string> variables_with(const std::vector<std::pair<std::string, std::string>>& more) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry; ++entry) {
    const std::string_view text = *entry;
    bool replaced = false;
    for (const auto& [name, value] : more) replaced = replaced || text.starts_with(name + "=");
    if (!replaced) all.emplace_back(text);
  }
  for (const auto& [name, value] : more) all.push_back(name + "=" + value);
  return all;
}

}  // namespace

WorkerProcess::WorkerProcess(const WorkerSetup& setup) {
  std::signal(SIGPIPE, SIG_IGN);  // one that has died is an error of the write
  std::vector<std::string> command = {"sdtorch"}, variables = variables_with(setup.environment);
  command.insert(command.end(), setup.arguments.begin(), setup.arguments.end());
  const std::vector<char*> argv = pointers(command), envp = pointers(variables);
  const Pipe in, out, err;
  const pid_t parent = getpid();
  process_ = fork();
  if (process_ == 0) {
    become_worker(parent, {in.from, out.to, err.to}, setup.program.c_str(), const_cast<char**>(argv.data()),
                  const_cast<char**>(envp.data()));
  }
  const int error = errno;
  for (int end : {in.from, out.to, err.to}) close_file(end);
  in_ = in.to;
  out_.file = out.from;
  err_.file = err.from;
  if (process_ < 0) {
    close_file(in_), close_file(out_.file), close_file(err_.file);
    fail_to_start("a worker cannot be started", error);
  }
  for (const int end : {in_, out_.file, err_.file}) never_wait(end);
}

WorkerProcess::~WorkerProcess() {
  close_file(in_);
  if (!status_) {
    kill(process_, SIGKILL);
    end();
  }
  close_file(out_.file);
  close_file(err_.file);
}

void WorkerProcess::send(std::string_view text) {
  unsent_ += text;
  write_more();
}

void WorkerProcess::write_more() {
  while (in_ >= 0 && !unsent_.empty()) {
    const ssize_t written = write(in_, unsent_.data(), unsent_.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) return;
    if (written < 0) return close_file(in_);  // it is gone, as its output will tell
    unsent_.erase(0, static_cast<size_t>(written));
  }
  if (ending_) close_file(in_);
}

void WorkerProcess::end_input() {
  ending_ = true;
  write_more();
}

bool WorkerProcess::read_more() {
  read_more(out_);
  read_more(err_);
  return out_.file >= 0 || err_.file >= 0;
}

void WorkerProcess::read_more(Stream& stream) {
  std::array<char, 1 << 16> bytes{};
  while (stream.file >= 0) {
    const ssize_t count = read(stream.file, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) return close_file(stream.file);
    stream.buffer.append(bytes.data(), static_cast<size_t>(count));
  }
}

std::optional<std::string> WorkerProcess::next_line(Stream& stream) {
  const size_t end = stream.buffer.find('\n');
  if (end == std::string::npos) return std::nullopt;
  std::string line = stream.buffer.substr(0, end);
  stream.buffer.erase(0, end + 1);
  return line;
}

std::optional<std::string> WorkerProcess::line() { return next_line(out_); }

std::optional<std::string> WorkerProcess::error_line() { return next_line(err_); }

std::optional<std::string> WorkerProcess::bytes(size_t count) {
  if (out_.buffer.size() < count) return std::nullopt;
  std::string taken = out_.buffer.substr(0, count);
  out_.buffer.erase(0, count);
  return taken;
}

std::string WorkerProcess::end() {
  if (!status_) {
    int status = 0;
    while (waitpid(process_, &status, 0) < 0 && errno == EINTR) {
    }
    status_ = status;
  }
  if (WIFSIGNALED(*status_)) {
    return fmt::format("was killed by signal {} ({})", WTERMSIG(*status_), strsignal(WTERMSIG(*status_)));
  }
  return fmt::format("ended with exit code {}", WEXITSTATUS(*status_));
}

int WorkerProcess::exit_code() const {
  constexpr int of_signals = 128;
  return WIFSIGNALED(*status_) ? of_signals + WTERMSIG(*status_) : WEXITSTATUS(*status_);
}

}  // namespace sdtorch
