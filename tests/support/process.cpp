#include "support/process.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>

#include "support/temp_dir.hpp"

namespace {

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void redirect(const std::filesystem::path& path, int flags, int stream) {
  const int file = open(path.c_str(), flags, 0600);
  if (file < 0 || dup2(file, stream) < 0) _exit(125);
  close(file);
}

/// Returns the seconds until the process said something, or 0.
double interrupt(pid_t process, const std::filesystem::path& err) {
  constexpr std::chrono::milliseconds patience(5000), pause(5);
  const auto said = std::filesystem::file_size(err);
  const auto start = std::chrono::steady_clock::now();
  kill(process, SIGINT);
  while (std::chrono::steady_clock::now() - start < patience) {
    std::this_thread::sleep_for(pause);
    if (std::filesystem::file_size(err) > said) {
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }
  }
  return 0;
}

}  // namespace

ProcessResult run_sdtorch(const std::vector<std::string>& arguments, const ProcessOptions& options) {
  const TempDir streams;
  const std::filesystem::path in = streams / "in", err = streams / "err";
  const std::filesystem::path out = options.out.empty() ? streams / "out" : options.out;
  std::ofstream(in, std::ios::binary) << options.input;

  std::vector<std::string> command = {SDTORCH_BINARY};
  command.insert(command.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  argv.reserve(command.size() + 1);
  for (std::string& argument : command) argv.push_back(argument.data());
  argv.push_back(nullptr);

  double answered_after = 0;
  const auto start = std::chrono::steady_clock::now();
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("cannot fork");
  if (child == 0) {
    if (!options.folder.empty() && chdir(options.folder.c_str()) != 0) _exit(125);
    redirect(in, O_RDONLY, STDIN_FILENO);
    redirect(out, O_WRONLY | O_CREAT, STDOUT_FILENO);
    redirect(err, O_WRONLY | O_CREAT, STDERR_FILENO);
    setenv("OMP_NUM_THREADS", "1", 1);
    execv(argv[0], argv.data());
    _exit(127);
  }
  if (options.interrupt_after_ms > 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(options.interrupt_after_ms));
    answered_after = interrupt(child, err);
  }
  int status = 0;
  rusage usage{};
  wait4(child, &status, 0, &usage);
  return {.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
          .out = options.out.empty() ? read_file(out) : "",
          .err = read_file(err),
          .seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
          .answered_after = answered_after,
          .peak_mb = usage.ru_maxrss / 1024};
}
