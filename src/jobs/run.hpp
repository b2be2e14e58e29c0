// Jobs → pictures on disk: loads the model once, draws each job, writes each picture as soon as it is done.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "diffusion/sampler.hpp"
#include "jobs/output_options.hpp"
#include "pipeline/request.hpp"

namespace sdtorch {

/// One request and where it comes from.
struct Job {
  Request request{};
  std::string source{};  ///< "prompts.txt: line 7", for messages; empty for the command line's own
};

/// One written picture: what stdout reports.
struct ImageResult {
  std::filesystem::path path{};
  int64_t index = 0;   ///< of the picture in this run, from 0
  uint64_t seed = 0;   ///< its own
  Request request{};   ///< with width, height and sampler filled in
  double seconds = 0;  ///< denoising and decoding, a batch's time shared evenly by its pictures
};

/// Learns what happens, in order. The command line draws progress and prints results.
class Reporter {
 public:
  virtual ~Reporter() = default;
  /// A batch of `images` begins; image numbers are first…first+images-1 of `total` in this run.
  virtual void on_batch(int64_t first, int64_t images, int64_t total) = 0;
  /// A denoising step of it is done. May throw to stop the run.
  virtual void on_step(const SamplerStep& step) = 0;
  /// A picture is complete on disk.
  virtual void on_image(const ImageResult& result) = 0;
};

/// Draws all jobs, which share the first one's model, VAE, device and compute type.
/// Everything is checked against the model before the first picture is drawn, and the output folder made.
/// Throws sdtorch::Error; pictures written before stay.
void run_jobs(const std::vector<Job>& jobs, const OutputOptions& output, Reporter& reporter);

/// What `--dry-run` does: the checks of run_jobs, without loading weights or writing anything.
void check_jobs(const std::vector<Job>& jobs, const OutputOptions& output);

}  // namespace sdtorch
