// Several workers that share a list of tasks: each gets the next one when it is free.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "jobs/worker_process.hpp"

namespace sdtorch {

/// A line for a worker (worker.hpp).
struct WorkerTask {
  size_t key = 0;  ///< the caller's
  std::string line{};
  size_t answers = 1;  ///< that it gets: one an object of a list
};

struct WorkerAnswer {
  nlohmann::json object{};
  std::string png{};  ///< what followed it, if anything
};

/// A task whose answers have all come, or that has failed.
struct FinishedTask {
  size_t key = 0;
  std::vector<WorkerAnswer> answers{};  ///< empty where it failed
  std::string death{};                  ///< what killed its workers, where it failed
};

/// Tasks go to workers as these become free. Where a worker dies, another one gets its task, and is in its place
/// started anew for the next; a task with which two have died has failed. A worker that says itself that it cannot go
/// on (its model does not fit its device's memory), or that dies again and again without an answer, is given up. To be
/// used in the main thread: workers die with the thread that has started them.
class WorkerPool {
 public:
  explicit WorkerPool(std::vector<WorkerSetup> setups);

  /// Whether a worker waits for a task.
  bool has_room() const;

  /// Gives one of them a task, and starts it for its first one. has_room() must hold.
  void give(WorkerTask task);

  /// The next task that is finished; none where none is under way. while_waiting: asked several times a second, may
  /// throw. Throws what the last worker said that could not go on, with its exit code.
  std::optional<FinishedTask> next(const std::function<void()>& while_waiting);

  /// From here on tasks whose workers die are dropped.
  void end_soon() { ending_ = true; }

  /// Lets the workers end, and waits for it.
  void finish(const std::function<void()>& while_waiting);

 private:
  struct Task {
    WorkerTask task{};
    std::vector<WorkerAnswer> answers{};
    std::vector<size_t> died{};  ///< numbers of the workers that died with it
  };

  struct Worker {
    WorkerSetup setup{};
    std::unique_ptr<WorkerProcess> process{};
    std::optional<Task> task{};
    std::optional<WorkerAnswer> awaiting_bytes{};
    std::string last_error{};  ///< that it said
    int deaths = 0;            ///< since its last answer
    bool given_up = false;
  };

  bool is_free(const Worker& worker) const { return !worker.given_up && !worker.task; }
  bool is_busy() const;
  size_t working() const;
  void start(Worker& worker, Task task);
  void give_again();
  void wait_for_workers() const;
  void serve(size_t number);
  void take_answers(Worker& worker);
  void finish_answer(Worker& worker, WorkerAnswer answer);
  void tell_errors(Worker& worker);
  void bury(size_t number);
  void give_up(Worker& worker, int exit_code, const std::string& death);

  std::vector<Worker> workers_;
  std::deque<Task> again_{};
  std::deque<FinishedTask> finished_{};
  bool ending_ = false;
  std::set<std::string> said_{};  ///< warnings, each told once
};

}  // namespace sdtorch
