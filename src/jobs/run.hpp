// Jobs → pictures on disk: opens the model, draws each batch, writes each picture as soon as it is done.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "jobs/job.hpp"
#include "jobs/output_options.hpp"
#include "sdtorch/pipeline.hpp"

namespace sdtorch {

/// One written picture: what stdout reports.
struct ImageResult {
  std::filesystem::path path{};
  int64_t index = 0;              ///< of the picture in this run, from 0
  Request request{};              ///< its own, with width and height filled in
  std::string sampler{};          ///< that drew it
  int64_t width = 0, height = 0;  ///< of the file
  double seconds = 0;             ///< denoising and decoding, a batch's time shared evenly by its pictures
};

/// Learns what happens, in order. The command line draws progress and prints results.
class Reporter {
 public:
  virtual ~Reporter() = default;
  /// A batch of `images` begins; image numbers are first…first+images-1 of `total` in this run.
  virtual void on_batch(int64_t first, int64_t images, int64_t total) = 0;
  /// A denoising step of it is done. May throw to stop the run.
  virtual void on_step(const Step& step) = 0;
  /// A picture is complete on disk.
  virtual void on_image(const ImageResult& result) = 0;
};

/// Draws all jobs, in their order. A model is loaded once, and anew where the next job's choice is another. Everything
/// is checked against each of them before the first picture is drawn, and the output folder made. Throws
/// sdtorch::Error; pictures written before stay.
void run_jobs(const std::vector<Job>& jobs, const OutputOptions& output, Reporter& reporter);

/// What `--dry-run` does: the checks of run_jobs, without loading weights or writing anything.
void check_jobs(const std::vector<Job>& jobs, const OutputOptions& output);

}  // namespace sdtorch
