// `--shard`: which of a run's pictures one of several processes draws.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace sdtorch {

/// One of `count` shares of a run. The pictures are dealt out by their numbers in it (job after job, image after
/// image, from 0), so that the shares are disjoint and complete whoever draws them, and whenever.
struct Shard {
  int64_t index = 0;  ///< 0…count-1
  int64_t count = 1;

  bool has(int64_t picture) const { return picture % count == index; }
  bool operator==(const Shard&) const = default;
};

/// The most shares of a run.
inline constexpr int64_t most_shards = 1'000'000;

/// An environment: a variable's value, none where it is not set.
using Variables = std::function<std::optional<std::string>(const char* name)>;

/// This process's own.
std::optional<std::string> environment_variable(const char* name);

/// Reads `I/N`, I = 0…N-1, or `auto`, which goes by what Slurm and Kubernetes tell a process:
/// - a task of a Slurm array: SLURM_ARRAY_TASK_ID, and the array's SLURM_ARRAY_TASK_MIN, _MAX, _STEP and _COUNT. Those
///   describe the array as it was submitted, and a part of one that is submitted anew (`--array=3,7`) describes itself
///   as a small one: so SDTORCH_SHARDS says what is whole, as a number N of tasks (0…N-1 or 1…N) or as `FIRST-LAST` or
///   `FIRST-LAST:STEP`. Without it an array counts as whole that is evenly spaced and has three tasks or more, or
///   that starts at 0 or 1 with a step of 1;
/// - a task of srun: SLURM_PROCID of SLURM_STEP_NUM_TASKS (SLURM_NTASKS); inside an array each of its tasks' shares is
///   dealt out among them;
/// - a pod of a Kubernetes Indexed Job: JOB_COMPLETION_INDEX of SDTORCH_SHARDS.
/// Throws ErrorKind::usage naming --shard and the variable that is missing or does not fit.
Shard parse_shard(const std::string& text, const Variables& variables = environment_variable);

/// Of a shard's journal by its name (`sdtorch.jobs.3-of-8.jsonl`): the number of shards; none for another file.
std::optional<int64_t> shards_of_journal(std::string_view name);

/// Throws ErrorKind::usage where the folder holds journals (`sdtorch.jobs.3-of-8.jsonl`) of another number of shares
/// than this one's: then the number that `auto` found is not the one that the others go by.
void check_same_count(const std::filesystem::path& folder, const Shard& shard);

}  // namespace sdtorch
