#include "jobs/shard.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "core/error.hpp"
#include "core/number.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

constexpr const char* shards_variable = "SDTORCH_SHARDS";
constexpr std::string_view journal_begin = "sdtorch.jobs.", journal_middle = "-of-", journal_end = ".jsonl";

[[noreturn]] void refuse_shard(std::string reason, std::string hint) {
  refuse("--shard", std::move(reason), std::move(hint));
}

/// A number of 0…most_shards * most_shards.
std::optional<int64_t> parse_count(std::string_view text) {
  const auto number = parse_unsigned(text);
  if (!number || *number > static_cast<uint64_t>(most_shards) * most_shards) return std::nullopt;
  return static_cast<int64_t>(*number);
}

/// A variable that is a number; none where it is not set, or empty.
std::optional<int64_t> number_in(const Variables& variables, const char* name) {
  const auto text = variables(name);
  if (!text || text->empty()) return std::nullopt;
  const auto number = parse_count(*text);
  if (!number) refuse_shard(fmt::format("auto: {} is '{}', which is no whole number", name, *text), "give --shard I/N");
  return number;
}

/// How the tasks of an array are numbered.
struct Numbering {
  int64_t first = 0, step = 1, count = 1;
  bool from_one_too = false;  ///< 1…count as well as 0…count-1: then `count` stands for 0
};

/// N, FIRST-LAST or FIRST-LAST:STEP; none for another text.
std::optional<Numbering> parse_numbering(std::string_view text) {
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) {
    const auto count = parse_count(text);
    if (!count) return std::nullopt;
    return Numbering{.count = *count, .from_one_too = true};
  }
  const size_t colon = std::min(text.find(':', dash), text.size());
  const auto first = parse_count(text.substr(0, dash));
  const auto last = parse_count(text.substr(dash + 1, colon - dash - 1));
  const auto step = colon < text.size() ? parse_count(text.substr(colon + 1)) : 1;
  if (!first || !last || !step || *step == 0 || *last < *first) return std::nullopt;
  return Numbering{.first = *first, .step = *step, .count = (*last - *first) / *step + 1};
}

/// What SDTORCH_SHARDS says.
std::optional<Numbering> told_numbering(const Variables& variables) {
  const auto text = variables(shards_variable);
  if (!text || text->empty()) return std::nullopt;
  const auto numbering = parse_numbering(*text);
  if (!numbering || numbering->count < 1 || numbering->count > most_shards) {
    refuse_shard(fmt::format("auto: {} is '{}'", shards_variable, *text),
                 fmt::format("set it to the number of tasks, 1…{}, or to their numbers: FIRST-LAST or FIRST-LAST:STEP",
                             most_shards));
  }
  return numbering;
}

/// What a Slurm array says of itself, where that can be no part of another one.
Numbering own_numbering(const Variables& variables, int64_t task) {
  const auto count = number_in(variables, "SLURM_ARRAY_TASK_COUNT");
  const auto first = number_in(variables, "SLURM_ARRAY_TASK_MIN");
  const auto last = number_in(variables, "SLURM_ARRAY_TASK_MAX");
  const std::string hint = fmt::format(
      "set {} to the number of tasks of the whole array, or to their numbers (0-7, 10-80:10)", shards_variable);
  if (!first || !last) {
    if (count && *count > 0) return {.count = *count, .from_one_too = true};
    refuse_shard(
        fmt::format("auto: SLURM_ARRAY_TASK_ID is {}, of an array that does not say how many tasks it has", task),
        hint);
  }
  Numbering own{.first = *first,
                .step = std::max<int64_t>(number_in(variables, "SLURM_ARRAY_TASK_STEP").value_or(1), 1)};
  own.count = *last < *first ? 0 : (*last - *first) / own.step + 1;
  const bool even = own.count > 0 && (*last - *first) % own.step == 0 && count.value_or(own.count) == own.count;
  // One number or two are evenly spaced always.
  const bool whole = own.count > 2 || (own.first <= 1 && (own.step == 1 || own.count == 1));
  if (even && whole) return own;
  const std::string numbers = own.count == 1
                                  ? fmt::format("{} alone", *first)
                                  : fmt::format("{} numbers of {}…{}", count.value_or(own.count), *first, *last);
  refuse_shard(fmt::format("auto: an array of {} may be a part of another one, whose shares would be others", numbers),
               hint);
}

int64_t place_of(int64_t task, const Numbering& numbering, const char* variable) {
  if (numbering.from_one_too && task == numbering.count) return 0;
  const int64_t distance = task - numbering.first;
  const int64_t place = distance / numbering.step;
  if (distance >= 0 && distance % numbering.step == 0 && place < numbering.count) return place;
  const int64_t last = numbering.first + (numbering.count - 1) * numbering.step;
  refuse_shard(fmt::format("auto: {} is {}, which is none of {}…{}{}", variable, task, numbering.first, last,
                           numbering.step == 1 ? "" : fmt::format(" in steps of {}", numbering.step)),
               fmt::format("{} says how the tasks are numbered: 8, 0-7 or 10-80:10", shards_variable));
}

/// The share of a task of srun.
std::optional<Shard> srun_share(const Variables& variables) {
  const auto rank = number_in(variables, "SLURM_PROCID");
  if (!rank) return std::nullopt;
  const auto in_step = number_in(variables, "SLURM_STEP_NUM_TASKS");
  const auto tasks = in_step ? in_step : number_in(variables, "SLURM_NTASKS");
  const Shard share{.index = *rank, .count = tasks.value_or(1)};
  // A batch script is run once, as task 0, whatever the number of tasks that it asked for.
  const bool batch = !in_step && variables("ENVIRONMENT") == "BATCH";
  if (batch && share.count > 1) {
    refuse_shard(fmt::format("auto: this job has {} tasks, and this process is not started by srun, which starts them",
                             share.count),
                 "put srun before sdtorch, or ask for one task");
  }
  if (share.count < 1 || share.count > most_shards || share.index >= share.count) {
    refuse_shard(fmt::format("auto: SLURM_PROCID is {} of {} tasks", share.index, share.count), "give --shard I/N");
  }
  return share;
}

Shard shard_of_environment(const Variables& variables) {
  const auto told = told_numbering(variables);
  const auto task = number_in(variables, "SLURM_ARRAY_TASK_ID");
  const auto completion = number_in(variables, "JOB_COMPLETION_INDEX");
  const auto rank = srun_share(variables);
  if (completion && (task || rank)) {
    refuse_shard("auto: both Slurm's variables and JOB_COMPLETION_INDEX are set", "give --shard I/N");
  }
  if (completion) {
    if (!told) {
      refuse_shard("auto: JOB_COMPLETION_INDEX is set, but Kubernetes does not say of how many",
                   fmt::format("set {} to the Job's completions", shards_variable));
    }
    if (*completion == told->count && told->from_one_too) {
      refuse_shard(
          fmt::format("auto: JOB_COMPLETION_INDEX is {} of {}, and they are counted from 0", *completion, told->count),
          fmt::format("set {} to the Job's completions", shards_variable));
    }
    return {.index = place_of(*completion, *told, "JOB_COMPLETION_INDEX"), .count = told->count};
  }
  if (task) {
    const Numbering numbering = told ? *told : own_numbering(variables, *task);
    const int64_t place = place_of(*task, numbering, "SLURM_ARRAY_TASK_ID");
    if (!rank) return {.index = place, .count = numbering.count};
    return {.index = place * rank->count + rank->index, .count = numbering.count * rank->count};
  }
  if (!rank) {
    refuse_shard(
        "auto: none of SLURM_ARRAY_TASK_ID (a Slurm array), SLURM_PROCID (srun) and JOB_COMPLETION_INDEX (a Kubernetes "
        "Indexed Job) is set",
        "give --shard I/N");
  }
  if (told && told->count != rank->count) {
    refuse_shard(fmt::format("auto: {} says {} tasks, but this is no task of an array, and srun has {}",
                             shards_variable, told->count, rank->count),
                 "submit the array by sbatch --array");
  }
  return *rank;
}

}  // namespace

std::optional<std::string> environment_variable(const char* name) {
  const char* value = std::getenv(name);
  if (!value) return std::nullopt;
  return value;
}

Shard parse_shard(const std::string& text, const Variables& variables) {
  if (text == "auto") return shard_of_environment(variables);
  const size_t slash = std::min(text.find('/'), text.size());
  const auto index = parse_count(text.substr(0, slash));
  const auto count = parse_count(text.substr(std::min(slash + 1, text.size())));
  if (!index || !count) refuse_shard(fmt::format("'{}' is not I/N", text), "write 0/4, or auto");
  if (*count < 1 || *count > most_shards) {
    refuse_shard(fmt::format("'{}': the number of shares is not 1…{}", text, most_shards), "write 0/4, or auto");
  }
  if (*index >= *count) {
    refuse_shard(
        fmt::format("'{}': shares are counted from 0, and the last of {} is {}/{}", text, *count, *count - 1, *count),
        fmt::format("the first is 0/{}", *count));
  }
  return {.index = *index, .count = *count};
}

std::optional<int64_t> shards_of_journal(std::string_view name) {
  if (!name.starts_with(journal_begin) || !name.ends_with(journal_end)) return std::nullopt;
  const size_t middle = name.find(journal_middle);
  if (middle == std::string_view::npos) return std::nullopt;
  const size_t start = middle + journal_middle.size();
  if (start + journal_end.size() > name.size()) return std::nullopt;
  return parse_count(name.substr(start, name.size() - journal_end.size() - start));
}

void check_same_count(const fs::path& folder, const Shard& shard) {
  std::error_code error;
  for (fs::directory_iterator entry(folder.empty() ? "." : folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const auto shares = shards_of_journal(name);
    if (!shares || *shares == shard.count) continue;
    refuse_shard(fmt::format("auto: this is a share of {}, but {} holds {}, a share of {}", shard.count,
                             folder.empty() ? "the current folder" : folder.string(), name, *shares),
                 fmt::format("set {} to {}, or join what is there first: sdtorch verify {} --join", shards_variable,
                             *shares, folder.empty() ? "." : folder.string()));
  }
}

}  // namespace sdtorch
