// How many pictures share a U-Net call where --batch-size auto leaves it to the machine.
#pragma once

#include <cstdint>

#include "jobs/checked_models.hpp"
#include "jobs/job.hpp"
#include "pipeline/batch_size.hpp"
#include "pipeline/pipeline_description.hpp"

namespace sdtorch {

/// What a picture needs of memory while its U-Net works, about: for choosing, not for refusing. bytes; whole: with its
/// size filled in.
uint64_t bytes_while_drawing(const PipelineDescription& model, const Request& whole);

/// How many pictures of a kind are drawn quickest together, by the measurements in docs/batch.md: on a GPU
/// as much work as 16 pictures of 512² are to SD1.5, on a CPU far less. 1 with --deterministic, since what fits into
/// memory is not the same everywhere.
int64_t quickest_batch(const PipelineDescription& model, const Request& whole);

class AutomaticBatch {
 public:
  /// models: must outlive it.
  explicit AutomaticBatch(CheckedModels& models) : models_(models) {}

  /// The quickest that fits into the memory that is free now; at least 1. A model that is not loaded yet
  /// will take some of that: too many are drawn in halves then.
  int64_t size_for(const Job& job);

  /// So many pictures have not found memory enough: the next ones get half as many at most.
  void did_not_fit(int64_t pictures);

 private:
  CheckedModels& models_;
  int64_t most_ = largest_batch_size;
};

}  // namespace sdtorch
