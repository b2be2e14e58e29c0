// A worker as a child process: it is sent lines and answers them, and it dies with its parent.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sdtorch {

/// The program that this process runs.
inline constexpr const char* this_program = "/proc/self/exe";

/// How a worker is started.
struct WorkerSetup {
  std::string name{};  ///< for messages: its device
  std::vector<std::string> arguments{};
  std::vector<std::pair<std::string, std::string>> environment{};  ///< variables to set
  std::string program = this_program;
};

class WorkerProcess {
 public:
  /// Starts the program, in a process group of its own, so that a terminal's Ctrl-C reaches its parent alone, which
  /// knows what to do. Throws a bug where that fails.
  explicit WorkerProcess(const WorkerSetup& setup);
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;
  /// Kills it, if it lives.
  ~WorkerProcess();

  /// What it is to read; goes into the pipe as far as that has room, and on with each `write_more`.
  void send(std::string_view text);
  bool has_more_to_write() const { return !unsent_.empty(); }
  void write_more();
  /// It reads the end of its input once all has been sent.
  void end_input();

  /// Takes in what it has written to standard output and standard error so far, without waiting; false at the end of
  /// both.
  bool read_more();
  /// The next whole line of each, without its end.
  std::optional<std::string> line();
  std::optional<std::string> error_line();
  /// So many bytes of standard output behind the last line; nothing while they have not all come.
  std::optional<std::string> bytes(size_t count);

  /// Waits for its end, and tells it: "was killed by signal 9 (Killed)", "ended with exit code 4".
  std::string end();
  /// Its exit code; 128 + the signal's number where one ended it. After `end`.
  int exit_code() const;

  pid_t process() const { return process_; }

  /// For poll: -1 once closed.
  int input_file() const { return in_; }
  int output_file() const { return out_.file; }
  int error_file() const { return err_.file; }

 private:
  struct Stream {
    int file = -1;
    std::string buffer{};
  };

  static void read_more(Stream& stream);
  static std::optional<std::string> next_line(Stream& stream);

  pid_t process_ = -1;
  int in_ = -1;
  bool ending_ = false;
  std::string unsent_{};
  Stream out_{}, err_{};
  std::optional<int> status_{};
};

}  // namespace sdtorch
