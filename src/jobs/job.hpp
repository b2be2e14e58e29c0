// What a run is to draw, and how it falls into batches.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/settings.hpp"

namespace sdtorch {

/// Where a prompt file says a setting.
struct ValuePlace {
  const Setting* setting = nullptr;
  uint32_t line = 1, column = 1;  ///< from 1; columns count characters
  bool verbatim = false;          ///< what stands there is the value, character by character
};

/// One request, how often, and where it comes from.
struct Job {
  ModelChoice choice{};     ///< what draws it
  Request request{};        ///< of the first picture; picture i has seed + i (mod 2^64), or what compat makes of it
  int64_t batch_count = 1;  ///< pictures in all
  int64_t batch_size = 1;   ///< pictures that may share a U-Net call; automatic_batch_size: the machine decides
  std::string source{};     ///< "prompts.txt: line 7", for messages; empty for the command line's own
  std::string variant{};    ///< what of a sweep it is: "cfg-scale=5 sampler=euler", for messages
  std::string id{};         ///< JSON that a worker's line asks to be answered with; empty: none
  std::vector<ValuePlace> places{};  ///< of the values that its line gives
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
/// or of several. The next one is of the model and the adapters of the last batch as long as the thousand have any:
/// lines that alternate do not change them at every batch.
class Batches {
 public:
  /// How many pictures may share a call where a job leaves that to the machine.
  using AutomaticSize = std::function<int64_t(const Job&)>;

  /// jobs: must outlive this. wanted: by number; empty is all of them. automatic: 1, if there is none.
  explicit Batches(const std::vector<Job>& jobs, std::vector<bool> wanted = {}, AutomaticSize automatic = {})
      : jobs_(jobs), wanted_(std::move(wanted)), automatic_(std::move(automatic)) {}

  /// Of the next picture; nullptr at the end.
  const Job* next_job();

  /// The next batch; without pictures at the end.
  Batch next();

 private:
  struct Waiting {
    const Job* job = nullptr;
    int64_t image = 0, number = 0;
  };

  /// Has the next `count` pictures waiting, or all that are left.
  void look_ahead(size_t count);

  /// Which of the waiting pictures the next batch begins with.
  size_t first_of_batch();
  int64_t size_for(const Job& job) const;

  const std::vector<Job>& jobs_;
  std::vector<bool> wanted_;
  AutomaticSize automatic_;
  const Job* last_ = nullptr;  ///< that the last batch began with
  size_t job_ = 0;             ///< of the first picture that is not waiting yet, as are the next two
  int64_t image_ = 0, number_ = 0;
  std::deque<Waiting> waiting_{};
};

}  // namespace sdtorch
