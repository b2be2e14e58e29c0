// What a run tells while it goes: progress to stderr, results to stdout.
#pragma once

#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

#include "jobs/run.hpp"
#include "sdtorch/log.hpp"

namespace sdtorch {

/// The tool's sink: a line on stderr, above the progress bar, with `warning: ` or `error: ` before those.
void print_log_line(LogKind kind, std::string_view line);

/// Writes text to stdout and flushes it. Throws ErrorKind::output where nobody takes it (a closed pipe, a full disk).
void print_result(std::string_view text);

/// A picture's line on stdout: its path, or with json an object of path, index, seed, prompt, width, height, sampler,
/// steps and seconds.
std::string result_line(const ImageResult& result, bool json);

/// `step 7/20 [=======             ] 1.9 it/s, 7s left`, for a terminal of `columns`; never wider than that.
/// done: steps done, 1…count; seconds: since the first step began; prefix: `image 2/8 ` or empty.
std::string progress_line(const std::string& prefix, int64_t done, int64_t count, double seconds, int columns);

struct ReportOptions {
  bool json = false;      ///< results as JSON lines
  bool progress = true;   ///< false: none at all
  bool terminal = false;  ///< stderr is one: progress is a bar that redraws itself, else a line every few seconds
};

/// The command line's reporter. One at a time: the log steps around its bar.
class ConsoleReporter : public Reporter {
 public:
  explicit ConsoleReporter(const ReportOptions& options);
  ConsoleReporter(const ConsoleReporter&) = delete;
  ConsoleReporter& operator=(const ConsoleReporter&) = delete;
  /// Takes the bar off the terminal.
  ~ConsoleReporter() override;

  void on_batch(int64_t first, int64_t images, int64_t total) override;
  /// Throws ErrorKind::interrupted after Ctrl-C (see interrupt.hpp).
  void on_step(const Step& step) override;
  void on_image(const ImageResult& result) override;
  void on_failed(const FailedImage& failed) override;

 private:
  using Clock = std::chrono::steady_clock;

  ReportOptions options_;
  std::string prefix_{};
  Clock::time_point batch_start_{}, last_shown_{};
};

}  // namespace sdtorch
