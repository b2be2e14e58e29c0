#include "jobs/verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <system_error>

#include "core/error.hpp"
#include "io/atomic_file.hpp"
#include "io/folder_lock.hpp"
#include "io/mapped_file.hpp"
#include "io/sha256.hpp"
#include "jobs/contact_sheet.hpp"
#include "jobs/output_folder.hpp"
#include "jobs/output_names.hpp"
#include "jobs/previews.hpp"
#include "jobs/request_facts.hpp"
#include "jobs/run_plan.hpp"
#include "pipeline/metadata.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

void check_has_journal(const fs::path& folder) {
  if (!journals_in(folder).empty()) return;
  fail(ErrorKind::output, folder, "", "holds no journal", "runs with --from-file write one");
}

/// The request of each picture that is asked for, by its index.
std::map<int64_t, std::string> requests_of(const JournalContent& known) {
  std::map<int64_t, std::string> requests;
  for (const RunRecord& run : known.runs) {
    for (size_t i = 0; i < run.requests.size(); ++i) {
      requests[run.first_index + static_cast<int64_t>(i)] = run.requests[i];
    }
  }
  return requests;
}

/// What is wrong with a picture's file; nothing where all is well.
std::optional<FaultyPicture> fault_of(const fs::path& folder, const PictureRecord& picture,
                                      const std::string& request) {
  const auto faulty = [&](PictureFault fault, std::string reason) {
    return FaultyPicture{.fault = fault, .index = picture.index, .path = picture.path, .reason = std::move(reason)};
  };
  const fs::path path = folder / picture.path;
  std::error_code error;
  if (!fs::exists(fs::symlink_status(path, error))) return faulty(PictureFault::gone, "is not in the folder");
  try {
    const MappedFile file(path, ErrorKind::output);
    if (file.bytes().size() != picture.bytes) {
      return faulty(PictureFault::damaged, fmt::format("has {} bytes, not {}", file.bytes().size(), picture.bytes));
    }
    if (sha256(file.bytes()) != picture.sha256) return faulty(PictureFault::damaged, "has another SHA-256");
    if (picture.request != request) return faulty(PictureFault::different, "was drawn for another request");
    if (digest_of(request_facts(settings_from_picture(path))) != request) {
      return faulty(PictureFault::different, "carries other parameters than were asked for");
    }
  } catch (const Error& failure) {
    return faulty(PictureFault::damaged, failure.what());
  }
  return std::nullopt;
}

void check_picture(FolderReport& report, const fs::path& folder, const JournalContent& known, int64_t index,
                   const std::string& request, const std::map<std::string, int64_t>& owners) {
  const auto picture = known.pictures.find(index);
  if (picture != known.pictures.end()) {
    const int64_t owner = owners.at(picture->second.path);
    if (owner != index) {
      report.faults.push_back({.fault = PictureFault::gone,
                               .index = index,
                               .path = picture->second.path,
                               .reason = fmt::format("is picture {}'s file", owner)});
    } else if (auto fault = fault_of(folder, picture->second, request)) {
      report.faults.push_back(std::move(*fault));
    } else {
      ++report.right;
    }
    return;
  }
  const auto failure = known.failures.find(index);
  if (failure != known.failures.end()) {
    report.faults.push_back({.fault = PictureFault::failed, .index = index, .reason = failure->second.error});
  } else {
    report.faults.push_back({.fault = PictureFault::missing, .index = index, .reason = "is still to be drawn"});
  }
}

/// Files that no record speaks of. names: in the folder.
void check_others(FolderReport& report, const fs::path& folder, const std::vector<std::string>& names,
                  const JournalContent& known) {
  std::set<std::string> recorded;
  for (const auto& [index, picture] : known.pictures) recorded.insert(picture.path);
  for (const std::string& name : names) {
    if (is_temporary_name(name)) {
      if (name == FolderLock::name || !is_abandoned(folder / name)) continue;
      report.faults.push_back({.fault = PictureFault::torn, .path = name, .reason = "is a piece that a kill left"});
    } else if (is_picture_name(name) && !recorded.contains(name) && !is_preview(folder / name) &&
               !is_contact_sheet(folder / name)) {
      report.others.push_back(name);
    }
  }
}

/// Puts the requests of a run that the folder holds, as far as it has come, to all of them; false: it has not begun.
bool add_requests(std::map<int64_t, std::string>& requests, const RunRecord& expected, const JournalContent& known,
                  const fs::path& folder) {
  const std::vector<const RunRecord*> before = runs_continued(expected, known, "--from-file");
  if (before.empty() && !has_run_of(known, expected.prompt_file)) return false;
  if (before.empty()) {
    refuse("--from-file", fmt::format("{} was not drawn by it:{}", folder.string(),
                                      run_difference(compared_with(expected, known), expected, known, folder)));
  }
  for (size_t i = 0; i < expected.requests.size(); ++i) {
    requests[before.front()->first_index + static_cast<int64_t>(i)] = expected.requests[i];
  }
  return true;
}

}  // namespace

FolderReport verify_folder(const fs::path& folder,
                           const std::function<std::optional<RunRecord>(const JournalContent&)>& expected_of) {
  check_has_journal(folder);
  const std::vector<std::string> names = file_names(folder);  // first: a run may go on publishing and recording
  const JournalContent known = read_journals(folder);
  const std::optional<RunRecord> expected = expected_of(known);
  FolderReport report;
  if (known.runs.empty()) {
    report.faults.push_back(
        {.fault = PictureFault::missing, .reason = "no run has got so far as to say what it draws"});
  }
  std::map<int64_t, std::string> requests = requests_of(known);
  const bool begun = !expected || known.runs.empty() || add_requests(requests, *expected, known, folder);
  report.asked = std::ssize(requests);
  if (!begun) {
    report.asked += std::ssize(expected->requests);
    report.faults.push_back({.fault = PictureFault::missing,
                             .reason = fmt::format("no run of {} has begun: its {} pictures are still to be drawn",
                                                   expected->prompt_file, expected->requests.size())});
  }
  const std::map<std::string, int64_t> owners = owners_of_files(known);
  for (const auto& [index, request] : requests) check_picture(report, folder, known, index, request, owners);
  check_others(report, folder, names, known);
  return report;
}

void join_journals(const fs::path& folder) try {
  const std::vector<fs::path> files = journals_in(folder);
  if (files.empty()) fail(ErrorKind::output, folder, "", "holds no journal");
  const Journal locked(folder, std::nullopt, /*wait=*/false);
  remove_abandoned_files(folder);
  JournalContent all = read_journals(folder);
  if (files.size() > 1) std::ranges::stable_sort(all.runs, {}, &RunRecord::first_index);  // as they were begun
  write_file_atomically(folder / journal_name, journal_text(all));
  const Journal joined(folder, std::nullopt, /*wait=*/false);  // the new file: a shard may have been quicker to open it
  std::error_code error;
  for (const fs::path& file : files) {
    if (file.filename() != journal_name) fs::remove(file, error);
  }
  sync_folder(folder);
} catch (const Error& error) {
  if (error.kind() != ErrorKind::in_use) throw;
  fail(ErrorKind::in_use, error.parts().file, "", error.parts().reason, "join its journals when that run has ended");
}

std::string name_of(PictureFault fault) {
  switch (fault) {
    case PictureFault::missing:
      return "missing";
    case PictureFault::failed:
      return "failed";
    case PictureFault::gone:
      return "gone";
    case PictureFault::damaged:
      return "damaged";
    case PictureFault::different:
      return "different";
    case PictureFault::torn:
      return "torn";
  }
  return "";
}

}  // namespace sdtorch
