// What a run is to draw, and how it falls into batches.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/settings.hpp"

namespace sdtorch {

/// One request, how often, and where it comes from.
struct Job {
  ModelChoice choice{};     ///< what draws it
  Request request{};        ///< of the first picture; picture i has seed + i (mod 2^64), or what compat makes of it
  int64_t batch_count = 1;  ///< pictures in all
  int64_t batch_size = 1;   ///< pictures that may share a U-Net call
  std::string source{};     ///< "prompts.txt: line 7", for messages; empty for the command line's own
};

/// What the settings ask for. source: see Job
Job job_of(const Settings& settings, std::string source = {});

/// How many pictures they are in all.
int64_t count_images(const std::vector<Job>& jobs);

/// Image `index` of a job as a request of its own.
Request picture_of(const Job& job, int64_t index);

/// Pictures that share their U-Net calls.
struct Batch {
  const ModelChoice* choice = nullptr;  ///< its job's
  std::vector<Request> pictures{};
};

/// Goes through the pictures of some jobs, in order, a batch at a time: pictures that follow one another share one for
/// as long as they can (can_share_batch, and the same ModelChoice), be they of one job or of several, and their
/// batch_size has room.
class Batches {
 public:
  /// jobs: must outlive this.
  explicit Batches(const std::vector<Job>& jobs) : jobs_(jobs) {}

  /// The next batch; without pictures at the end.
  Batch next();

 private:
  const std::vector<Job>& jobs_;
  size_t job_ = 0;
  int64_t image_ = 0;
};

}  // namespace sdtorch
