// A run's pictures, which of them a folder has, and which are still to be drawn.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "jobs/checked_models.hpp"
#include "jobs/job.hpp"
#include "jobs/journal.hpp"
#include "jobs/output_names.hpp"
#include "jobs/run_options.hpp"

namespace sdtorch {

struct RunPlan {
  RunRecord run{};
  std::vector<bool> wanted{};  ///< by number: is to be drawn
  /// By number, where it matters, else empty. Of pictures of which the template makes one name the first in the file
  /// has it, the second is its second attempt and so on, whoever draws them and when, and where somebody else has such
  /// names each goes on by as many as they are; one that was recorded before keeps its name.
  std::vector<PictureNames> names{};
  std::vector<PictureRecord> found{};  ///< pictures of the run that are in the folder and in no journal
};

/// What is known of a run's pictures before they are drawn, by number.
struct CheckedPictures {
  std::vector<std::string> digests{};  ///< of their requests
  std::vector<std::string> names{};    ///< that the template makes, where they tell no index; of index 0 on
};

/// Adds a job's. checked: its request as CheckedModel::check gave it. Throws ErrorKind::usage naming --name for a name
/// that is too long.
void add_pictures(CheckedPictures& pictures, const Job& job, const CheckedRequest& checked, const NameTemplate& names);

/// The run as it would be begun in an empty folder. digests: of all pictures of the jobs (CheckedPictures::digests).
RunRecord record_of(CheckedModels& models, const std::vector<Job>& jobs, const RunOptions& options,
                    std::vector<std::string> digests);

/// Whether a run of the prompt file, whose name that is, was begun in a folder.
bool has_run_of(const JournalContent& known, const std::string& prompt_file);

/// Whether a run goes on with one that was begun before: see plan_run.
bool continues(const RunRecord& before, const RunRecord& now);

/// The run of a folder to compare one with that goes on with none: the last of its prompt file and of the chance that
/// it was dealt, else of its prompt file, else of that chance, else of all. known: holds a run.
const RunRecord& compared_with(const RunRecord& run, const JournalContent& known);

/// Why it does not, a line each: settings, files and requests that differ. known: what the folder holds.
std::string run_difference(const RunRecord& before, const RunRecord& now, const JournalContent& known,
                           const std::filesystem::path& folder);

/// The runs of a folder that a run may go on with, the last first: of its own prompt file's name, where there are any,
/// else those of others (which was renamed, or copied) that have the most of its pictures, but for those whose next
/// numbers, of pictures that were added, are another run's. None: there is none. Throws ErrorKind::usage naming `flag`
/// where that befalls all of its own name.
std::vector<const RunRecord*> runs_continued(const RunRecord& run, const JournalContent& known,
                                             const std::string& flag);

/// names: CheckedPictures::names. Fits the run into a folder. A resumed one goes on with the last of `known` that it
/// continues: the same settings, files and names, and its requests the first of this one's, which may have got more at
/// the end, and more files with them. Throws ErrorKind::usage naming --resume and what differs where there are others
/// of its prompt file only. Without --resume, and where there is none of that file, its pictures come after all that
/// are there. Throws SeedsOutOfDate.
RunPlan plan_run(RunRecord run, const std::vector<std::string>& names, const JournalContent& known,
                 const RunOptions& options);

}  // namespace sdtorch
