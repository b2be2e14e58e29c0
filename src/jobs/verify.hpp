// Whether a folder holds what its journal and its prompt file say.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "jobs/journal.hpp"

namespace sdtorch {

/// What is wrong with one picture of a folder.
enum class PictureFault {
  missing,    ///< asked for, and neither in the journal nor in the folder; without an index: the run itself
  failed,     ///< could not be drawn
  gone,       ///< in the journal, not in the folder
  damaged,    ///< another size or SHA-256 than the journal's
  different,  ///< other parameters than were asked for
  torn        ///< a temporary file, which a kill left
};

struct FaultyPicture {
  PictureFault fault{};
  std::optional<int64_t> index{};
  std::string path{};    ///< in the folder; empty where it has none
  std::string reason{};  ///< for people
};

struct FolderReport {
  int64_t asked = 0;  ///< pictures that the runs ask for, and the expected one
  int64_t right = 0;  ///< that are there as they should be
  std::vector<FaultyPicture> faults{};
  std::vector<std::string> others{};  ///< PNG files that no journal knows, but for previews and contact sheets
};

/// Looks at every picture of every run in the folder's journals: present, complete, of the right hash and parameters.
/// expected_of: of what the journals tell the run that a prompt file asks for (record_of), which the folder must hold,
/// at least as it was before lines were added; none: the journals are believed. Throws ErrorKind::output where there is
/// no journal, or it is damaged; ErrorKind::usage where that run goes on with none of its prompt file's runs there,
/// with what differs; and what that function throws. Where there is no run of that file it is missing.
FolderReport verify_folder(const std::filesystem::path& folder,
                           const std::function<std::optional<RunRecord>(const JournalContent&)>& expected_of);

/// Puts the journals of all shards into the folder's one, sorted by picture, as a single process would have written it,
/// and clears away what killed runs left.
/// Throws ErrorKind::in_use while a run works there, ErrorKind::output.
void join_journals(const std::filesystem::path& folder);

/// `missing`, `damaged` …
std::string name_of(PictureFault fault);

}  // namespace sdtorch
