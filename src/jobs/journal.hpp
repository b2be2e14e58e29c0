// What a folder remembers of the runs that filled it: one JSON object a line in `sdtorch.jobs.jsonl`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "jobs/shard.hpp"

namespace sdtorch {

/// A run as it was begun: all that decides its pictures.
struct RunRecord {
  std::string prompt_file{};                   ///< its name, without its folder; of no account
  std::string model{};                         ///< ModelChoice::model as it was given; of no account: `files` tells
  std::string name{};                          ///< the template of the pictures' names
  nlohmann::json settings{};                   ///< run_facts
  nlohmann::json defaults{};                   ///< request_facts of the command line
  nlohmann::json given{};                      ///< given_facts of it; of no account, for who asks for the same again
  std::map<std::string, std::string> files{};  ///< file_fingerprints
  std::vector<std::string> requests{};         ///< each picture's digest_of(request_facts), by its number
  int64_t first_index = 0;                     ///< that of picture 0
  std::optional<uint64_t> seeds_from{};        ///< what seeds of -1 were drawn from (deal_seeds); none: there is none

  /// All but `model` and `given`, which may be others where the run goes on or another share of it is drawn.
  bool operator==(const RunRecord& other) const {
    return prompt_file == other.prompt_file && name == other.name && settings == other.settings &&
           defaults == other.defaults && files == other.files && requests == other.requests &&
           first_index == other.first_index && seeds_from == other.seeds_from;
  }
};

/// A picture that is complete in the folder.
struct PictureRecord {
  int64_t index = 0;                 ///< first_index + number
  std::string path{};                ///< its file's name in the folder
  std::string sha256{};              ///< of the file
  uint64_t bytes = 0;                ///< of the file
  std::string request{};             ///< its digest
  std::vector<std::string> notes{};  ///< fallbacks that made it another picture than it would have been

  bool operator==(const PictureRecord&) const = default;
};

/// A picture that could not be drawn.
struct FailureRecord {
  int64_t index = 0;
  std::string request{};
  std::string error{};
  int exit_code = 0;

  bool operator==(const FailureRecord&) const = default;
};

/// What a journal, or several of a folder together, hold.
struct JournalContent {
  std::vector<RunRecord> runs{};  ///< in the order in which they were begun
  std::map<int64_t, PictureRecord> pictures{};
  /// Earlier files of those pictures, by name: what was found damaged, and what such a file is not to be taken for.
  std::map<std::string, PictureRecord> superseded{};
  std::map<int64_t, FailureRecord> failures{};  ///< the last of each picture that has no record of success
  std::map<std::string, std::string> sha256{};  ///< of each file that was ever recorded, by its name
};

/// Whose each file is, by its name: the first picture's that names it. Of another one that does the file is gone.
std::map<std::string, int64_t> owners_of_files(const JournalContent& content);

inline constexpr std::string_view journal_name = "sdtorch.jobs.jsonl";

/// `sdtorch.jobs.jsonl`, or a shard's `sdtorch.jobs.3-of-16.jsonl`.
std::string journal_name_of(const std::optional<Shard>& shard);

/// All journals of a folder, the main one first.
std::vector<std::filesystem::path> journals_in(const std::filesystem::path& folder);

/// Reads a journal; a last line without its end, which a kill or a full disk tore, and empty ones are passed over.
/// Throws ErrorKind::output as `FILE: line N: …` for any other line that is none of ours.
JournalContent read_journal(const std::filesystem::path& file);

/// What all journals of a folder hold together, nothing where it has none, and what one of them tells of.
struct FolderJournals {
  JournalContent all{};
  std::vector<RunRecord> own_runs{};
};

/// own: that one's name. A journal that goes while it is looked for, since a share waits or journals are joined, is no
/// fault: all are read anew. Throws as read_journal.
FolderJournals read_journals(const std::filesystem::path& folder, const std::string& own);

/// The same, of no journal's own.
JournalContent read_journals(const std::filesystem::path& folder);

/// Throws ErrorKind::output where a journal beside a file tells of it: it is a run's picture, and not to be replaced.
void check_unrecorded(const std::filesystem::path& file);

/// Puts what another journal holds to `all`. Of two records of one picture that is kept whose file was made later, as
/// its name tells: `-2`, `-3`…
void add_journal(JournalContent& all, JournalContent more);

/// A journal as its lines: runs, then pictures, earlier files of one before its last, and failures by index.
std::string journal_text(const JournalContent& content);

/// A journal that is being written. Each record is on disk when its call returns.
class Journal {
 public:
  /// Opens, or makes, the folder's journal and locks it against other processes, and a shard's against all but the
  /// other shards of its number, until this ends. Cuts off a torn last line. wait: for as long as another holds it.
  /// Throws ErrorKind::in_use (without wait) and ErrorKind::output.
  Journal(const std::filesystem::path& folder, const std::optional<Shard>& shard, bool wait);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal();

  void add(const RunRecord& run);
  void add(const PictureRecord& picture);
  void add(const FailureRecord& failure);

  /// At the end of a run, after which nothing is added: brings the lines into journal_text's order, whatever order the
  /// pictures were drawn in, by whom, and after how many interruptions. Throws ErrorKind::output; it is then as it was.
  void put_in_order();

 private:
  void append(const nlohmann::json& line);
  bool lock_files(const std::optional<Shard>& shard, bool wait, bool told);
  void close_files();

  std::filesystem::path path_;
  int file_ = -1;
  bool torn_ = false;     ///< a failed write left a part of a line
  bool in_order_ = true;  ///< as journal_text has it, as far as is known
  std::optional<int64_t> last_index_{};
  int folder_lock_ = -1;  ///< a shard's hold on the main journal
};

}  // namespace sdtorch
