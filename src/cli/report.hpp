// What a run tells while it goes: progress to stderr, results to stdout.
#pragma once

#include <chrono>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/progress.hpp"
#include "cli/terminal_picture.hpp"
#include "jobs/contact_sheet.hpp"
#include "jobs/run.hpp"
#include "sdtorch/log.hpp"

namespace sdtorch {

/// The tool's sink: a line on stderr, above the progress bar, with `warning: ` or `error: ` before those.
void print_log_line(LogKind kind, std::string_view line);

/// Writes text to stdout and flushes it. Throws ErrorKind::output where nobody takes it (a closed pipe, a full disk).
void print_result(std::string_view text);

/// A picture's line on stdout: its path, or with json an object of event (`image`), path, index, seed, prompt, width,
/// height, sampler, steps and seconds.
std::string result_line(const ImageResult& result, bool json);

/// That of a picture that is left out: an object of event (`failed`), index, seed, prompt, source (`prompts.txt: line
/// 7`), error and exit_code.
std::string failed_line(const FailedImage& failed);

struct ReportOptions {
  bool json = false;      ///< results as JSON lines on stdout, and progress as JSON lines on stderr
  bool progress = true;   ///< false: none at all
  bool terminal = false;  ///< stderr is one: progress is a bar that redraws itself, else a line every few seconds
  std::optional<ShowAs> show{};   ///< draw each picture on stderr, and on a terminal each preview in its place
  ContactSheet* sheet = nullptr;  ///< collects the run's pictures
  bool by_devices = false;        ///< several draw, whose steps are not heard of
};

/// The command line's reporter. One at a time: the log steps around its bar.
///
/// With json each event of a run is an object a line on stderr, its `event`: `loading` (a model); `batch` (images: the
/// numbers of its pictures, total: how many this run draws); `step` (index and count, images, and of the whole run
/// seconds, images_per_second, seconds_left), or, where several devices draw, `progress` (done, total, and the same);
/// `preview` (path, image, step, steps); `page` (path: of a gallery or a contact sheet); `summary` (images, failed,
/// done_before, seconds).
class ConsoleReporter : public Reporter {
 public:
  explicit ConsoleReporter(const ReportOptions& options);
  ConsoleReporter(const ConsoleReporter&) = delete;
  ConsoleReporter& operator=(const ConsoleReporter&) = delete;
  /// Takes the bar off the terminal.
  ~ConsoleReporter() override;

  void on_loading() override;
  void on_done_before(int64_t index, const std::filesystem::path& path) override;
  void on_batch(std::span<const int64_t> numbers, int64_t total) override;
  /// Throws ErrorKind::interrupted after Ctrl-C (see interrupt.hpp).
  void on_step(const Step& step) override;
  void on_preview(const PreviewResult& preview) override;
  void on_image(const ImageResult& result) override;
  void on_failed(const FailedImage& failed) override;

  /// What came of the run, at its end however it ended: with several pictures a line, with json an event.
  void finish();

  /// A page of the run's pictures is written: a line or an event.
  void on_page(const std::filesystem::path& path);

 private:
  /// Seconds since this was made.
  double now() const;
  void show(const std::filesystem::path& picture, bool in_place);
  void tell_step(const Step& step);
  void tell_progress(bool last);

  ReportOptions options_;
  RunProgress progress_{};
  std::chrono::steady_clock::time_point start_;
  double batch_start_ = 0, last_shown_ = 0;
  std::vector<int64_t> numbers_{};  // of the batch's pictures
};

}  // namespace sdtorch
