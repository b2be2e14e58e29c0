// How far a run has come, how fast it is and how long it will take, as a line.
#pragma once

#include <cstdint>
#include <string>

namespace sdtorch {

/// `12s`, `3m04s`, `1h20m`, `3d04h`, rounded up to whole seconds.
std::string duration(double seconds);

/// `1.9 it/s`, or `12.5 s/it` where that says more. each, one: what is counted, several and one of it.
std::string rate(double per_second, const char* each = "it", const char* one = "it");

/// `step 7/20 [=======             ] 1.9 it/s, 7s left`, for a terminal of `columns`; never wider than that.
/// done: steps done, 1…count; seconds: since the first step began; prefix: `image 2/8 ` or empty.
std::string progress_line(const std::string& prefix, int64_t done, int64_t count, double seconds, int columns);

/// The pictures of a run: what is done, in how long, and what is left. All times are seconds from any one moment.
/// Steps of the batch in flight count as parts of its pictures; pictures that were done before the run count as done,
/// and not for its speed.
class RunProgress {
 public:
  void done_before() { ++before_; }
  /// total: how many this run draws.
  void batch(int64_t images, int64_t total, double now);
  /// done: steps, 1…count.
  void step(int64_t done, int64_t count, double now);
  /// A picture is on disk, or given up.
  void image() { take_off(finished_); }
  void failed() { take_off(failed_); }

  /// Of the run, those done before among them; 0 before its first batch.
  int64_t total() const { return total_ == 0 ? 0 : before_ + total_; }
  int64_t finished() const { return finished_; }
  int64_t failures() const { return failed_; }
  int64_t resumed() const { return before_; }
  /// All of those: what is not to be waited for any more.
  int64_t settled() const { return before_ + finished_ + failed_; }

  /// Whether the batch in flight has told a step.
  bool is_stepping() const { return steps_ > 0; }

  double seconds(double now) const { return now - start_; }
  /// 0 before the first step is done.
  double images_per_second(double now) const;
  double seconds_left(double now) const;

  /// `image 38/1000 step 7/20 [====      ] 1.9 images/s, 8m20s left`, never wider than the terminal; the bar is the
  /// whole run's.
  std::string bar(double now, int columns) const;
  /// `37/1000 images, 1.9 images/s, 8m20s left`.
  std::string line(double now) const;
  /// `1000 images in 8m46s, 1.9 images/s, 2 failed, 40 done before`.
  std::string summary(double now) const;

 private:
  void take_off(int64_t& counter);
  /// Pictures drawn in this run, with the parts of those in flight.
  double drawn() const;
  double done() const { return static_cast<double>(before_) + drawn(); }

  int64_t total_ = 0, before_ = 0, finished_ = 0, failed_ = 0;
  int64_t pending_ = 0;  // drawn and not yet on disk
  int64_t flying_ = 0;   // images of the batch in flight
  int64_t step_ = 0, steps_ = 0;
  double start_ = 0, batch_start_ = 0, last_step_ = 0;
  bool begun_ = false;
  double step_seconds_ = 0, batch_seconds_ = 0;  // of the batches that ended: their steps, and all of them
};

}  // namespace sdtorch
