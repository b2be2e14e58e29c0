// A run's pictures, which of them a folder has, and which are still to be drawn.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "jobs/checked_models.hpp"
#include "jobs/job.hpp"
#include "jobs/journal.hpp"
#include "jobs/run_options.hpp"

namespace sdtorch {

struct RunPlan {
  RunRecord run{};
  std::vector<bool> wanted{};          ///< by number: is to be drawn
  std::vector<PictureRecord> found{};  ///< pictures of the run that are in the folder and in no journal
};

/// Puts the digests of a job's pictures to `digests`. checked: its request as CheckedModel::check gave it.
void add_digests(std::vector<std::string>& digests, const Job& job, const Request& checked);

/// The run as it would be begun in an empty folder. digests: of all pictures of the jobs, by add_digests.
RunRecord record_of(CheckedModels& models, const std::vector<Job>& jobs, const RunOptions& options,
                    std::vector<std::string> digests);

/// Whether a run goes on with one that was begun before: see plan_run.
bool continues(const RunRecord& before, const RunRecord& now);

/// Why it does not, a line each: settings, files and requests that differ. known: what the folder holds.
std::string run_difference(const RunRecord& before, const RunRecord& now, const JournalContent& known,
                           const std::filesystem::path& folder);

/// Fits the run into a folder. A resumed one goes on with the last of `known` that it continues: the same settings,
/// files and names, and its requests the first of this one's, which may have got more at the end. Throws
/// ErrorKind::usage naming --resume and what differs where there are others only. Without --resume its pictures come
/// after all that are there. Throws SeedsOutOfDate.
RunPlan plan_run(RunRecord run, const JournalContent& known, const RunOptions& options);

}  // namespace sdtorch
