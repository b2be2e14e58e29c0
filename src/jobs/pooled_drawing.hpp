// A run's batches, drawn by workers.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "core/error.hpp"
#include "jobs/job.hpp"
#include "jobs/worker_pool.hpp"

namespace sdtorch {

/// What becomes of the pictures, in the order in which they are done.
struct PooledPictures {
  std::function<void(const Batch&)> begun{};  ///< a worker has got them
  /// `i`: its place in the batch; answer: as in worker.hpp, with the picture's PNG.
  std::function<void(const Batch&, size_t i, const WorkerAnswer& answer)> drawn{};
  std::function<void(const Batch&, size_t i, const Error& error)> failed{};  ///< may throw to end the run
  std::function<void()> waiting{};                                           ///< several times a second
};

/// Draws `batch` and all that come after it. Told to end, it waits for the pictures in flight. Throws what the
/// callbacks throw, and as WorkerPool::next.
void draw_by_workers(WorkerPool& pool, Batch batch, Batches& batches, const PooledPictures& pictures);

}  // namespace sdtorch
