// The tool as its users meet it: a process with arguments, streams and an exit code.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

struct ProcessResult {
  int exit_code = 0;  ///< 128 + the signal's number where one ended it
  std::string out{};
  std::string err{};
  double seconds = 0;         ///< from start to end
  double answered_after = 0;  ///< seconds from the interrupt to a new line on standard error; 0: none came
  long peak_mb = 0;           ///< the most memory that it had at once
};

struct ProcessOptions {
  std::filesystem::path folder{};  ///< to run in; empty: the test's own
  std::string input{};             ///< standard input
  int interrupt_after_ms = 0;      ///< sends SIGINT after that time; 0: never
  std::filesystem::path out{};     ///< standard output goes to this file instead, such as /dev/full
};

/// Runs the sdtorch that was built with these tests, on one thread.
ProcessResult run_sdtorch(const std::vector<std::string>& arguments, const ProcessOptions& options = {});
