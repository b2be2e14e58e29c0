// Jobs → pictures on disk: opens the model, draws each batch, writes each picture as soon as it is done.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "jobs/job.hpp"
#include "jobs/run_options.hpp"
#include "sdtorch/pipeline.hpp"

namespace sdtorch {

/// One written picture: what stdout reports.
struct ImageResult {
  std::filesystem::path path{};
  int64_t index = 0;              ///< of the picture in this run: its number, job after job, from 0
  Request request{};              ///< its own, with width and height filled in
  std::string sampler{};          ///< that drew it
  int64_t width = 0, height = 0;  ///< of the file
  double seconds = 0;             ///< denoising and decoding, a batch's time shared evenly by its pictures
};

/// One that could not be drawn.
struct FailedImage {
  int64_t index = 0;      ///< as ImageResult's
  Request request{};      ///< its own
  std::string source{};   ///< Job::source
  std::string error{};    ///< the message
  int exit_code = 0;      ///< of a run of this picture alone
  bool ends_run = false;  ///< the error is thrown, too
};

/// A picture that is still being drawn, as a file.
struct PreviewResult {
  std::filesystem::path path{};
  int64_t index = 0;            ///< of the picture, as ImageResult's
  int64_t step = 0, steps = 0;  ///< done, 1…steps, and in all
};

/// Learns what happens, in order. The command line draws progress and prints results.
class Reporter {
 public:
  virtual ~Reporter() = default;
  /// A picture that an earlier run has finished, before anything is drawn. index: as ImageResult's
  virtual void on_done_before(int64_t /*index*/, const std::filesystem::path& /*path*/) {}
  /// The first model begins to be loaded.
  virtual void on_loading() {}
  /// A batch begins. numbers: of its pictures, as ImageResult's index; total: how many this run draws.
  virtual void on_batch(std::span<const int64_t> numbers, int64_t total) = 0;
  /// A denoising step of it is done. May throw to stop the run.
  virtual void on_step(const Step& step) = 0;
  /// A preview is complete on disk.
  virtual void on_preview(const PreviewResult& /*preview*/) {}
  /// A picture is complete on disk.
  virtual void on_image(const ImageResult& result) = 0;
  /// A picture is left out, and the run goes on, or ends with it.
  virtual void on_failed(const FailedImage& failed) = 0;
};

/// Draws all jobs; what shares a batch, and the order of the rest, is Batches'. A model is loaded once, and anew where
/// the next batch's choice is another. Everything is checked against each of them before the first picture is drawn,
/// and the output folder made. The jobs of a prompt file keep a journal in their folder (journal.hpp), which locks it
/// against other runs, and by which a resumed run leaves out what is there. Throws sdtorch::Error; pictures written
/// before stay. With keep_going a picture that cannot be drawn is told instead, and in the end ErrorKind::jobs_failed
/// thrown.
void run_jobs(const std::vector<Job>& jobs, const RunOptions& options, Reporter& reporter);

/// What `--dry-run` does: the checks of run_jobs, without loading weights or writing anything.
void check_jobs(const std::vector<Job>& jobs, const RunOptions& options);

}  // namespace sdtorch
