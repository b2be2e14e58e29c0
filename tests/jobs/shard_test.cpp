#include "jobs/shard.hpp"

#include <fstream>
#include <map>
#include <vector>

#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;

namespace {

using Values = std::map<std::string, std::string>;

Shard auto_shard(const Values& values) {
  return parse_shard("auto", [&](const char* name) -> std::optional<std::string> {
    const auto found = values.find(name);
    if (found == values.end()) return std::nullopt;
    return found->second;
  });
}

/// A task of an array as Slurm describes it.
Values slurm_task(int id, int first, int last, int step, int count) {
  return {{"SLURM_ARRAY_TASK_ID", std::to_string(id)},
          {"SLURM_ARRAY_TASK_MIN", std::to_string(first)},
          {"SLURM_ARRAY_TASK_MAX", std::to_string(last)},
          {"SLURM_ARRAY_TASK_STEP", std::to_string(step)},
          {"SLURM_ARRAY_TASK_COUNT", std::to_string(count)}};
}

Values with(Values values, const Values& more) {
  for (const auto& [name, value] : more) values[name] = value;
  return values;
}

void check_refused(const Values& values, const std::string& part) {
  INFO(part);
  check_error(ErrorKind::usage, part, [&] { auto_shard(values); });
}

}  // namespace

TEST_CASE("shares are disjoint and complete", "[jobs]") {
  for (const int64_t count : {1, 2, 3, 7, 100}) {
    for (int64_t picture = 0; picture < 50; ++picture) {
      int holders = 0;
      for (int64_t index = 0; index < count; ++index) holders += Shard{index, count}.has(picture);
      CHECK(holders == 1);
    }
  }
}

TEST_CASE("--shard I/N counts from 0 and says so", "[jobs]") {
  CHECK(parse_shard("0/4") == Shard{0, 4});
  CHECK(parse_shard("3/4") == Shard{3, 4});
  CHECK(parse_shard("0/1") == Shard{0, 1});
  check_error(ErrorKind::usage, "--shard: '4/4': shares are counted from 0, and the last of 4 is 3/4",
              [] { parse_shard("4/4"); });
  for (const char* bad : {"", "1", "/", "1/", "/4", "-1/4", "+1/4", "1/4/4", "a/b", "1.0/4", "1/ 4", "0x1/4", "AUTO",
                          "99999999999999999999/4"}) {
    INFO(bad);
    check_error(ErrorKind::usage, "is not I/N", [&] { parse_shard(bad); });
  }
  check_error(ErrorKind::usage, "not 1…1000000", [] { parse_shard("0/0"); });
  check_error(ErrorKind::usage, "not 1…1000000", [] { parse_shard("0/1000001"); });
}

TEST_CASE("--shard auto: a Slurm array of any start and step", "[jobs]") {
  CHECK(auto_shard(slurm_task(0, 0, 3, 1, 4)) == Shard{0, 4});
  CHECK(auto_shard(slurm_task(3, 0, 3, 1, 4)) == Shard{3, 4});
  CHECK(auto_shard(slurm_task(4, 1, 4, 1, 4)) == Shard{3, 4});
  CHECK(auto_shard(slurm_task(30, 10, 90, 10, 9)) == Shard{2, 9});
  CHECK(auto_shard(slurm_task(17, 5, 17, 4, 4)) == Shard{3, 4});
  CHECK(auto_shard(slurm_task(0, 0, 0, 1, 1)) == Shard{0, 1});
  CHECK(auto_shard(slurm_task(2, 1, 2, 1, 2)) == Shard{1, 2});
}

TEST_CASE("--shard auto: a part of an array is not taken for the whole", "[jobs]") {
  check_refused(slurm_task(7, 3, 7, 4, 2), "may be a part of another one");  // --array=3,7
  check_refused(slurm_task(7, 3, 7, 1, 2), "2 numbers of 3…7");              // however its step is told
  check_refused(slurm_task(3, 3, 3, 1, 1), "an array of 3 alone");           // --array=3
  check_refused(slurm_task(3, 1, 7, 1, 3), "may be a part");                 // --array=1,3,7
  check_refused(slurm_task(0, 0, 7, 7, 2), "may be a part");                 // --array=0,7
  check_refused(slurm_task(7, 1, 7, 2, 3), "may be a part");                 // --array=1,3,7, its least gap as step
  // SDTORCH_SHARDS tells what is whole, and then a part draws what it always drew.
  const Values eight = {{"SDTORCH_SHARDS", "8"}};
  CHECK(auto_shard(with(slurm_task(7, 3, 7, 4, 2), eight)) == Shard{7, 8});
  CHECK(auto_shard(with(slurm_task(3, 3, 3, 1, 1), eight)) == Shard{3, 8});
  CHECK(auto_shard(with(slurm_task(3, 0, 7, 1, 8), eight)) == Shard{3, 8});
  for (int id = 1; id <= 8; ++id) CHECK(auto_shard(with(slurm_task(id, 1, 8, 1, 8), eight)) == Shard{id % 8, 8});
  check_refused(with(slurm_task(9, 1, 9, 1, 9), eight), "SLURM_ARRAY_TASK_ID is 9, which is none of 0…7");
  const Values spaced = {{"SDTORCH_SHARDS", "10-80:10"}};
  CHECK(auto_shard(with(slurm_task(40, 40, 40, 1, 1), spaced)) == Shard{3, 8});
  check_refused(with(slurm_task(45, 45, 45, 1, 1), spaced), "none of 10…80 in steps of 10");
  CHECK(auto_shard(with(slurm_task(5, 5, 5, 1, 1), {{"SDTORCH_SHARDS", "5-7"}})) == Shard{0, 3});
  for (const char* bad : {"0", "x", "-1", "7-5", "0-7:0", "1-2-3", "8%2", "1000001"}) {
    check_refused(with(slurm_task(0, 0, 3, 1, 4), {{"SDTORCH_SHARDS", bad}}), "SDTORCH_SHARDS is '");
  }
}

TEST_CASE("--shard auto: tasks of srun, alone and inside an array", "[jobs]") {
  CHECK(auto_shard({{"SLURM_PROCID", "2"}, {"SLURM_NTASKS", "4"}}) == Shard{2, 4});
  CHECK(auto_shard({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}}) == Shard{0, 4});
  CHECK(auto_shard({{"SLURM_PROCID", "1"}, {"SLURM_NTASKS", "4"}, {"SLURM_STEP_NUM_TASKS", "2"}}) == Shard{1, 2});
  CHECK(auto_shard({{"SLURM_PROCID", "0"}}) == Shard{0, 1});
  check_refused({{"SLURM_PROCID", "4"}, {"SLURM_NTASKS", "4"}}, "SLURM_PROCID is 4 of 4 tasks");
  // A batch script is one process, however many tasks it may start.
  check_refused({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}, {"ENVIRONMENT", "BATCH"}}, "not started by srun");
  CHECK(auto_shard(
            {{"SLURM_PROCID", "3"}, {"SLURM_NTASKS", "4"}, {"SLURM_STEP_NUM_TASKS", "4"}, {"ENVIRONMENT", "BATCH"}}) ==
        Shard{3, 4});
  std::vector<int64_t> drawn;
  for (int task = 0; task < 3; ++task) {
    for (const char* rank : {"0", "1"}) {
      const Shard shard =
          auto_shard(with(slurm_task(task, 0, 2, 1, 3), {{"SLURM_PROCID", rank}, {"SLURM_STEP_NUM_TASKS", "2"}}));
      CHECK(shard.count == 6);
      drawn.push_back(shard.index);
    }
  }
  CHECK(drawn == std::vector<int64_t>{0, 1, 2, 3, 4, 5});
  check_refused({{"SLURM_PROCID", "0"}, {"SDTORCH_SHARDS", "8"}}, "this is no task of an array");
}

TEST_CASE("--shard auto: Kubernetes says the index, and the manifest of how many", "[jobs]") {
  CHECK(auto_shard({{"JOB_COMPLETION_INDEX", "0"}, {"SDTORCH_SHARDS", "8"}}) == Shard{0, 8});
  CHECK(auto_shard({{"JOB_COMPLETION_INDEX", "7"}, {"SDTORCH_SHARDS", "8"}}) == Shard{7, 8});
  check_refused({{"JOB_COMPLETION_INDEX", "0"}}, "set SDTORCH_SHARDS to the Job's completions");
  check_refused({{"JOB_COMPLETION_INDEX", "8"}, {"SDTORCH_SHARDS", "8"}}, "counted from 0");
  check_refused({{"JOB_COMPLETION_INDEX", "x"}, {"SDTORCH_SHARDS", "8"}}, "JOB_COMPLETION_INDEX is 'x'");
  check_refused(with(slurm_task(0, 0, 7, 1, 8), {{"JOB_COMPLETION_INDEX", "0"}, {"SDTORCH_SHARDS", "8"}}), "both");
}

TEST_CASE("--shard auto: nothing to go by names what was looked for", "[jobs]") {
  for (const Values& values : {Values{}, Values{{"SDTORCH_SHARDS", "8"}}, Values{{"SLURM_ARRAY_TASK_ID", ""}},
                               Values{{"SLURM_JOB_ID", "12"}}}) {
    for (const char* name : {"SLURM_ARRAY_TASK_ID", "SLURM_PROCID", "JOB_COMPLETION_INDEX"}) {
      check_refused(values, name);
    }
  }
  check_refused({{"SLURM_ARRAY_TASK_ID", "3"}}, "SDTORCH_SHARDS");
  check_refused({{"SLURM_ARRAY_TASK_ID", "three"}}, "is 'three'");
}

TEST_CASE("a folder of another number of shares is told from one's own", "[jobs]") {
  const TempDir folder;
  check_same_count(folder / "missing", {0, 2});
  std::ofstream(folder / "sdtorch.jobs.3-of-8.jsonl") << "{}\n";
  std::ofstream(folder / "sdtorch.jobs.jsonl") << "{}\n";
  std::ofstream(folder / "00000-of-9.png") << "x";
  check_same_count(folder.path(), {1, 8});
  check_error(ErrorKind::usage, "set SDTORCH_SHARDS to 8", [&] { check_same_count(folder.path(), {0, 2}); });
}
