#include "jobs/worker_pool.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <fstream>
#include <map>
#include <set>

#include "jobs/devices.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;

namespace {

/// A worker that is a shell script; it has the line that it read in `$line`.
WorkerSetup shell_worker(const std::string& name, const std::string& begin, const std::string& on_line) {
  return {.name = name,
          .arguments = {"-c", begin + "\nwhile read -r line; do\n" + on_line + "\ndone"},
          .environment = {{"WORKER", name}},
          .program = "/bin/sh"};
}

const std::string answers = R"(echo "{\"line\": \"$line\", \"worker\": \"$WORKER\", \"process\": $$}")";

void nothing() {}

/// Gives all lines to the pool; what came of each.
std::map<std::string, FinishedTask> draw_all(WorkerPool& pool, const std::vector<std::string>& lines) {
  std::map<std::string, FinishedTask> results;
  size_t next = 0;
  for (;;) {
    for (; next < lines.size() && pool.has_room(); ++next) pool.give({.key = next, .line = lines[next]});
    auto finished = pool.next(nothing);
    if (!finished) break;
    CHECK(results.emplace(lines[finished->key], *finished).second);
  }
  CHECK(results.size() == lines.size());
  return results;
}

std::string said(const FinishedTask& task, const char* key) {
  REQUIRE(task.answers.size() == 1);
  return task.answers.front().object.at(key).get<std::string>();
}

}  // namespace

TEST_CASE("workers share a list of tasks, each next one to whoever is free", "[jobs]") {
  WorkerPool pool({shell_worker("slow", "", "sleep 0.3; " + answers), shell_worker("quick", "", answers)});
  const auto results = draw_all(pool, {"a", "b", "c", "d", "e", "f", "g", "h"});
  std::map<std::string, int> shares;
  for (const auto& [line, task] : results) {
    CHECK(said(task, "line") == line);
    ++shares[said(task, "worker")];
  }
  CHECK(shares["slow"] >= 1);
  CHECK(shares["quick"] > shares["slow"]);
  pool.finish(nothing);
}

TEST_CASE("bytes follow an answer, and a task may have several", "[jobs]") {
  WorkerPool pool({shell_worker("one", "", R"(printf '{"bytes": 4}\na\nb\n{"id": 1}\n{"bytes": 0}\n')")});
  pool.give({.key = 7, .line = "x", .answers = 3});
  CHECK_FALSE(pool.has_room());
  const auto finished = pool.next(nothing);
  REQUIRE(finished);
  CHECK(finished->key == 7);
  REQUIRE(finished->answers.size() == 3);
  CHECK(finished->answers[0].png == "a\nb\n");
  CHECK(finished->answers[1].object.at("id") == 1);
  CHECK(finished->answers[2].png.empty());
  CHECK_FALSE(pool.next(nothing));
}

TEST_CASE("a dead worker's task goes to another one", "[jobs]") {
  const TempDir folder;
  const std::string dies_once =
      fmt::format("if [ $line = bad ] && mkdir {} 2>/dev/null; then kill -9 $$; fi; ", (folder / "died").string());
  WorkerPool pool({shell_worker("a", "", dies_once + answers), shell_worker("b", "", dies_once + answers)});
  const auto results = draw_all(pool, {"one", "bad", "two", "three", "four"});
  for (const auto& [line, task] : results) CHECK(said(task, "line") == line);
}

TEST_CASE("a task with which two workers have died has failed, and the rest is done", "[jobs]") {
  const std::string dies = "if [ $line = bad ]; then kill -9 $$; fi; ";
  const size_t workers = GENERATE(1, 2, 3);
  std::vector<WorkerSetup> setups;
  for (size_t i = 0; i < workers; ++i) setups.push_back(shell_worker(std::to_string(i), "", dies + answers));
  WorkerPool pool(setups);
  const auto results = draw_all(pool, {"one", "bad", "two", "three"});
  CHECK(results.at("bad").answers.empty());
  CHECK(results.at("bad").death.find("was killed by signal 9") != std::string::npos);
  for (const char* good : {"one", "two", "three"}) CHECK(said(results.at(good), "line") == good);
}

TEST_CASE("a worker that says it cannot go on is given up; without others the run ends with its error", "[jobs]") {
  const WorkerSetup broken = shell_worker("broken", "echo 'error: model.bin: is torn' >&2; exit 4", "");
  WorkerPool pool({broken, shell_worker("whole", "", answers)});
  for (const auto& [line, task] : draw_all(pool, {"a", "b", "c", "d"})) CHECK(said(task, "worker") == "whole");

  WorkerPool lost({broken, broken});
  check_error(ErrorKind::model, "--device: broken: model.bin: is torn", [&] { draw_all(lost, {"a", "b", "c"}); });
}

TEST_CASE("a worker that dies again and again is given up", "[jobs]") {
  const WorkerSetup mortal = shell_worker("mortal", "", "kill -9 $$");
  WorkerPool pool({mortal, shell_worker("whole", "", "sleep 0.1; " + answers)});
  std::vector<std::string> lines;
  for (int i = 0; i < 20; ++i) lines.push_back(std::to_string(i));
  for (const auto& [line, task] : draw_all(pool, lines)) CHECK(said(task, "worker") == "whole");
  WorkerPool lost({mortal});
  check_error(ErrorKind::memory, "was killed by signal 9", [&] { draw_all(lost, lines); });
}

TEST_CASE("waiting for workers can be ended, which ends them", "[jobs]") {
  pid_t process = 0;
  {
    WorkerPool pool({shell_worker("one", "", answers)});
    pool.give({.line = "x"});
    process = pool.next(nothing)->answers.front().object.at("process").get<pid_t>();
    CHECK(kill(process, 0) == 0);
  }
  CHECK(kill(process, 0) != 0);
  WorkerPool pool({shell_worker("one", "", "sleep 60")});
  pool.give({.line = "x"});
  check_error(ErrorKind::interrupted, "enough",
              [&] { pool.next([] { throw Error(ErrorKind::interrupted, {.reason = "enough"}); }); });
}

TEST_CASE("--device names one device, several of a kind, or all GPUs", "[jobs]") {
  using Devices = std::vector<std::string>;
  CHECK(split_devices("auto") == Devices{"auto"});
  CHECK(split_devices("cuda:all") == Devices{"cuda:all"});
  CHECK(split_devices("cuda:0,cuda:1") == Devices{"cuda:0", "cuda:1"});
  CHECK(split_devices("cuda, cuda:3") == Devices{"cuda:0", "cuda:3"});
  CHECK(split_devices("cpu,cpu,cpu") == Devices{"cpu", "cpu", "cpu"});
  check_error(ErrorKind::usage, "cuda:0 stands there twice", [] { split_devices("cuda,cuda:0"); });
  check_error(ErrorKind::usage, "depend on which of them draws it", [] { split_devices("cpu,cuda:0"); });
  check_error(ErrorKind::usage, "auto does not go with others", [] { split_devices("auto,cpu"); });
  check_error(ErrorKind::usage, "cuda:all does not go with others", [] { split_devices("cuda:all,cuda:0"); });
  for (const char* bad : {"cpu,", ",cpu", "cpu,gpu", "cuda:0,cuda:x", "cuda:0,cuda:999"}) {
    INFO(bad);
    check_error(ErrorKind::usage, "is not a device", [&] { split_devices(bad); });
  }
}

TEST_CASE("workers share out threads, and each sees its own GPU alone", "[jobs]") {
  ModelChoice choice;
  choice.model = "some/model";
  choice.dtype = "fp16";
  const auto cpus = worker_setups({"cpu", "cpu", "cpu"}, choice, 8, "out");
  REQUIRE(cpus.size() == 3);
  const auto has = [](const WorkerSetup& setup, const std::string& argument) {
    return std::ranges::find(setup.arguments, argument) != setup.arguments.end();
  };
  for (const char* argument : {"--device=cpu", "--outdir=out", "--model=some/model", "--dtype=fp16", "2"})
    CHECK(has(cpus[1], argument));
  CHECK(cpus[0].environment.empty());
  CHECK(has(worker_setups({"cpu", "cpu"}, choice, 1, "")[0], "1"));

  setenv("CUDA_VISIBLE_DEVICES", "4,GPU-6,5", 1);
  const auto gpus = worker_setups({"cuda:1", "cuda:2", "cuda:3"}, choice, 8, "out");
  unsetenv("CUDA_VISIBLE_DEVICES");
  CHECK(gpus[0].environment.front() == std::pair<std::string, std::string>("CUDA_VISIBLE_DEVICES", "GPU-6"));
  CHECK(gpus[1].environment.front().second == "5");
  CHECK(gpus[2].environment.front().second == "3");
  for (const WorkerSetup& gpu : gpus) CHECK(has(gpu, "--device=cuda:0"));
  CHECK(worker_setups({"cuda:1"}, choice, 8, "out")[0].environment.front().second == "1");
}
