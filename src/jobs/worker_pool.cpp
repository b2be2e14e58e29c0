#include "jobs/worker_pool.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <csignal>
#include <string_view>

#include "core/error.hpp"
#include "core/log.hpp"

namespace sdtorch {
namespace {

constexpr int poll_milliseconds = 100;   // how soon somebody who waits hears of an interrupt
constexpr size_t most_deaths = 2;        // with one task
constexpr int most_deaths_in_a_row = 5;  // of one worker
constexpr int signal_codes = 128;        // exit codes above it are 128 + a signal's number

/// Whether a worker ended by what it said itself, of which all tasks would die: not by a signal, nor by a bug.
bool is_fault_of_run(int exit_code) {
  for (const ErrorKind kind : {ErrorKind::usage, ErrorKind::model, ErrorKind::input, ErrorKind::output,
                               ErrorKind::memory, ErrorKind::non_finite}) {
    if (exit_code == static_cast<int>(kind)) return true;
  }
  return false;
}

}  // namespace

WorkerPool::WorkerPool(std::vector<WorkerSetup> setups) {
  for (WorkerSetup& setup : setups) workers_.push_back({.setup = std::move(setup)});
}

bool WorkerPool::has_room() const {
  return again_.empty() && std::ranges::any_of(workers_, [&](const Worker& one) { return is_free(one); });
}

void WorkerPool::give(WorkerTask task) {
  const auto free = std::ranges::find_if(workers_, [&](const Worker& one) { return is_free(one); });
  start(*free, {.task = std::move(task)});
}

std::optional<FinishedTask> WorkerPool::next(const std::function<void()>& while_waiting) {
  while (finished_.empty()) {
    if (ending_) again_.clear();
    give_again();
    if (!is_busy()) return std::nullopt;
    wait_for_workers();
    while_waiting();
    for (size_t number = 0; number < workers_.size(); ++number) serve(number);
  }
  FinishedTask task = std::move(finished_.front());
  finished_.pop_front();
  return task;
}

void WorkerPool::finish(const std::function<void()>& while_waiting) {
  for (Worker& worker : workers_) {
    if (worker.process) worker.process->end_input();
  }
  for (size_t number = 0; number < workers_.size(); ++number) {
    while (workers_[number].process) {
      wait_for_workers();
      while_waiting();
      serve(number);
    }
  }
}

bool WorkerPool::is_busy() const {
  return std::ranges::any_of(workers_, [](const Worker& one) { return one.task.has_value(); });
}

size_t WorkerPool::working() const {
  return static_cast<size_t>(std::ranges::count_if(workers_, [](const Worker& one) { return !one.given_up; }));
}

void WorkerPool::start(Worker& worker, Task task) {
  if (!worker.process) {
    worker.last_error.clear();
    worker.process = std::make_unique<WorkerProcess>(worker.setup);
  }
  worker.task = std::move(task);
  worker.process->send(worker.task->task.line + "\n");
}

/// Tasks of dead workers go to others that are free, if there are others.
void WorkerPool::give_again() {
  for (auto task = again_.begin(); task != again_.end();) {
    const auto has_died = [&](size_t number) { return std::ranges::find(task->died, number) != task->died.end(); };
    bool given = false;
    for (size_t number = 0; number < workers_.size() && !given; ++number) {
      if (!is_free(workers_[number]) || (has_died(number) && working() > 1)) continue;
      start(workers_[number], std::move(*task));
      given = true;
    }
    task = given ? again_.erase(task) : task + 1;
  }
}

void WorkerPool::wait_for_workers() const {
  std::vector<pollfd> files;
  for (const Worker& worker : workers_) {
    if (!worker.process) continue;
    files.push_back({.fd = worker.process->output_file(), .events = POLLIN, .revents = 0});
    files.push_back({.fd = worker.process->error_file(), .events = POLLIN, .revents = 0});
    if (worker.process->has_more_to_write()) {
      files.push_back({.fd = worker.process->input_file(), .events = POLLOUT, .revents = 0});
    }
  }
  poll(files.data(), files.size(), poll_milliseconds);
}

/// Takes in what a worker has to say.
void WorkerPool::serve(size_t number) {
  Worker& worker = workers_[number];
  if (!worker.process) return;
  worker.process->write_more();
  const bool lives = worker.process->read_more();
  take_answers(worker);
  tell_errors(worker);
  if (!lives) bury(number);
}

void WorkerPool::take_answers(Worker& worker) {
  for (;;) {
    if (worker.awaiting_bytes) {
      auto bytes = worker.process->bytes(worker.awaiting_bytes->object.at("bytes").get<size_t>());
      if (!bytes) return;
      worker.awaiting_bytes->png = std::move(*bytes);
      WorkerAnswer answer = std::move(*worker.awaiting_bytes);
      worker.awaiting_bytes.reset();
      finish_answer(worker, std::move(answer));
    }
    const auto line = worker.process->line();
    if (!line) return;
    WorkerAnswer answer{.object = nlohmann::json::parse(*line, nullptr, false)};
    if (!answer.object.is_object() || !worker.task) {
      throw Error(ErrorKind::bug, {.file = worker.setup.name, .reason = "a worker has answered what nobody asked"});
    }
    if (answer.object.contains("bytes")) {
      worker.awaiting_bytes = std::move(answer);
    } else {
      finish_answer(worker, std::move(answer));
    }
  }
}

void WorkerPool::finish_answer(Worker& worker, WorkerAnswer answer) {
  worker.deaths = 0;
  worker.task->answers.push_back(std::move(answer));
  if (worker.task->answers.size() < worker.task->task.answers) return;
  finished_.push_back({.key = worker.task->task.key, .answers = std::move(worker.task->answers)});
  worker.task.reset();
}

void WorkerPool::tell_errors(Worker& worker) {
  constexpr std::string_view warning = "warning: ", error = "error: ";
  while (const auto line = worker.process->error_line()) {
    if (line->starts_with(warning)) {
      const std::string text = line->substr(warning.size());
      if (said_.insert(text).second) log_warning(text);
    } else {
      const bool is_error = line->starts_with(error);
      if (is_error) worker.last_error = line->substr(error.size());
      log_detail(fmt::format("{}: {}", worker.setup.name, *line));
    }
  }
}

/// A worker has ended.
void WorkerPool::bury(size_t number) {
  Worker& worker = workers_[number];
  const std::string death = worker.process->end();
  const int code = worker.process->exit_code();
  worker.process.reset();
  worker.awaiting_bytes.reset();
  if (!worker.task) {
    if (is_fault_of_run(code)) give_up(worker, code, death);
    return;
  }
  Task task = std::move(*worker.task);
  worker.task.reset();
  task.answers.clear();
  if (is_fault_of_run(code)) {
    give_up(worker, code, death);
    return again_.push_back(std::move(task));
  }
  ++worker.deaths;
  task.died.push_back(number);
  const std::string said = worker.last_error.empty() ? "" : ": " + worker.last_error;
  log_warning(fmt::format("{}: a worker {}{}", worker.setup.name, death, said));
  if (task.died.size() < most_deaths) {
    again_.push_back(std::move(task));
  } else {
    finished_.push_back(
        {.key = task.task.key, .death = fmt::format("two workers have died of it; the last {}", death)});
  }
  if (worker.deaths >= most_deaths_in_a_row) give_up(worker, code, death);
}

void WorkerPool::give_up(Worker& worker, int exit_code, const std::string& death) {
  worker.given_up = true;
  const std::string reason = worker.last_error.empty() ? fmt::format("its worker {}", death) : worker.last_error;
  if (working() > 0) {
    return log_warning(fmt::format("--device: {} is given up: {}", worker.setup.name, reason));
  }
  const bool killed = exit_code == signal_codes + SIGKILL;  // as the system does where memory runs out
  const ErrorKind kind = is_fault_of_run(exit_code) ? static_cast<ErrorKind>(exit_code)
                         : killed                   ? ErrorKind::memory
                                                    : ErrorKind::bug;
  throw Error(kind, {.file = "--device", .place = worker.setup.name, .reason = reason});
}

}  // namespace sdtorch
