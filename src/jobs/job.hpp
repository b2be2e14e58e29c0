// What a run is to draw, and how it falls into batches.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
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

/// Image `index` of a job as a request of its own.
Request picture_of(const Job& job, int64_t index);

/// Pictures that share their U-Net calls.
struct Batch {
  const ModelChoice* choice = nullptr;  ///< its jobs'
  std::vector<Request> pictures{};
  std::vector<int64_t> numbers{};  ///< of each: job after job, image after image, through the whole run, from 0
  std::vector<const Job*> jobs{};  ///< of each
};

/// How many pictures jobs ask for.
int64_t count_images(const std::vector<Job>& jobs);

/// Goes through the pictures of some jobs a batch at a time: the next one and, as its job's batch_size has room, those
/// of the following thousand that can share its calls (can_share_batch, and the same ModelChoice), be they of one job
/// or of several.
class Batches {
 public:
  /// jobs: must outlive this. wanted: by number; empty is all of them.
  explicit Batches(const std::vector<Job>& jobs, std::vector<bool> wanted = {})
      : jobs_(jobs), wanted_(std::move(wanted)) {}

  /// The next batch; without pictures at the end.
  Batch next();

 private:
  struct Waiting {
    const Job* job = nullptr;
    int64_t image = 0, number = 0;
  };

  /// Has the next `count` pictures waiting, or all that are left.
  void look_ahead(size_t count);

  const std::vector<Job>& jobs_;
  std::vector<bool> wanted_;
  size_t job_ = 0;  ///< of the first picture that is not waiting yet, as are the next two
  int64_t image_ = 0, number_ = 0;
  std::deque<Waiting> waiting_{};
};

}  // namespace sdtorch
