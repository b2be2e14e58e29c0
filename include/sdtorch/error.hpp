// The one exception of this project: what went wrong, where, and the exit code that follows.
#pragma once

#include <stdexcept>
#include <string>

namespace sdtorch {

/// Why a run failed. The value is the process's exit code.
enum class ErrorKind {
  bug = 1,            ///< a defect of ours
  usage = 2,          ///< a flag or a combination of flags
  jobs_failed = 3,    ///< finished, but some jobs failed
  model = 4,          ///< model, config or tokenizer files
  input = 5,          ///< an input picture or a prompt file
  output = 6,         ///< what we write
  memory = 7,         ///< out of memory
  non_finite = 8,     ///< NaN or infinity where numbers belong
  in_use = 11,        ///< another run works in the same folder
  interrupted = 130,  ///< SIGINT
  terminated = 143    ///< SIGTERM
};

/// What an error message is made of; empty parts are left out.
/// The message reads `FILE: PLACE: reason; hint`.
struct ErrorParts {
  std::string file{};    ///< the file, or the flag (`--steps`), at fault
  std::string place{};   ///< key, line (`line 7`) or offset (`offset 128`) in it
  std::string reason{};  ///< what is wrong: what was expected, what was found
  std::string hint{};    ///< what to do about it
};

/// Thrown anywhere, caught in `main` and once per job.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, ErrorParts parts);

  ErrorKind kind() const { return kind_; }
  int exit_code() const { return static_cast<int>(kind_); }
  const ErrorParts& parts() const { return parts_; }

 private:
  ErrorKind kind_;
  ErrorParts parts_;
};

}  // namespace sdtorch
