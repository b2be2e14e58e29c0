#include "jobs/pooled_drawing.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

#include "core/interrupt.hpp"
#include "jobs/devices.hpp"

namespace sdtorch {
namespace {

bool is_told_to_end() {
  try {
    throw_if_told_to_end();
    return false;
  } catch (const Error&) {
    return true;
  }
}

Error error_in(const WorkerAnswer& answer) {
  constexpr std::array kinds = {ErrorKind::usage,  ErrorKind::model,  ErrorKind::input,
                                ErrorKind::output, ErrorKind::memory, ErrorKind::non_finite};
  const int code = answer.object.value("exit_code", 1);
  const bool known = std::ranges::any_of(kinds, [&](ErrorKind kind) { return static_cast<int>(kind) == code; });
  return {known ? static_cast<ErrorKind>(code) : ErrorKind::bug, {.reason = answer.object.value("error", "no reason")}};
}

void deliver(const Batch& batch, const FinishedTask& task, const PooledPictures& pictures) {
  for (size_t i = 0; i < batch.pictures.size(); ++i) {
    if (task.answers.empty()) {
      // As the system ends what takes more memory than there is; and the next picture may do better.
      pictures.failed(batch, i, {ErrorKind::memory, {.reason = task.death}});
    } else if (task.answers[i].object.contains("error")) {
      pictures.failed(batch, i, error_in(task.answers[i]));
    } else {
      pictures.drawn(batch, i, task.answers[i]);
    }
  }
}

}  // namespace

void draw_by_workers(WorkerPool& pool, Batch batch, Batches& batches, const PooledPictures& pictures) {
  std::map<size_t, Batch> under_way;
  size_t key = 0;
  const auto give_more = [&] {
    while (pool.has_room() && !batch.pictures.empty() && !is_told_to_end()) {
      pool.give({.key = key, .line = worker_line(batch), .answers = batch.pictures.size()});
      pictures.begun(batch);
      under_way.emplace(key++, std::exchange(batch, batches.next()));
    }
  };
  const auto while_waiting = [&] {
    throw_if_interrupted();
    if (is_told_to_end()) pool.end_soon();
    if (pictures.waiting) pictures.waiting();
  };
  for (give_more();; give_more()) {
    const std::optional<FinishedTask> finished = pool.next(while_waiting);
    if (!finished) break;
    give_more();  // before this one is looked at: nobody waits for that
    const auto done = under_way.extract(finished->key);
    deliver(done.mapped(), *finished, pictures);
  }
  throw_if_told_to_end();
  pool.finish(throw_if_interrupted);
}

}  // namespace sdtorch
