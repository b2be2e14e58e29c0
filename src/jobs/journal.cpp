#include "jobs/journal.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <system_error>

#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "core/log.hpp"
#include "io/atomic_file.hpp"
#include "io/json.hpp"
#include "jobs/request_facts.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view shard_prefix = "sdtorch.jobs.", journal_ending = ".jsonl";
constexpr int journal_version = 1;
constexpr int64_t most_index = 1'000'000'000'000'000;  // of a picture: far from where numbers end
constexpr auto between_tries = 200'000;                // microseconds

[[noreturn]] void fail_by_system(const fs::path& path, std::string_view what, int error) {
  fail(ErrorKind::output, path, "", fmt::format("{}: {}", what, std::generic_category().message(error)));
}

json to_json(const RunRecord& run) {
  std::string requests;
  for (const std::string& request : run.requests) requests += request;
  json object = {{"version", journal_version},
                 {"prompt_file", run.prompt_file},
                 {"model", run.model},
                 {"name", run.name},
                 {"settings", run.settings},
                 {"defaults", run.defaults},
                 {"files", run.files},
                 {"first_index", run.first_index},
                 {"pictures", run.requests.size()},
                 {"requests", std::move(requests)}};
  if (!run.given.empty()) object["given"] = run.given;
  if (run.seeds_from) object["seeds_from"] = *run.seeds_from;
  return {{"run", std::move(object)}};
}

json to_json(const PictureRecord& picture) {
  json line = {{"index", picture.index},
               {"path", picture.path},
               {"sha256", picture.sha256},
               {"bytes", picture.bytes},
               {"request", picture.request}};
  if (!picture.notes.empty()) line["notes"] = picture.notes;
  return line;
}

json to_json(const FailureRecord& failure) {
  return {{"index", failure.index},
          {"request", failure.request},
          {"error", failure.error},
          {"exit_code", failure.exit_code}};
}

RunRecord run_of(const json& line) {
  const json& run = line.at("run");
  if (run.at("version") != journal_version) {
    throw Error(ErrorKind::output, {.reason = fmt::format("is of version {}, and {} is known", run.at("version").dump(),
                                                          journal_version)});
  }
  RunRecord record{.prompt_file = run.at("prompt_file").get<std::string>(),
                   .model = run.at("model").get<std::string>(),
                   .name = run.at("name").get<std::string>(),
                   .settings = run.at("settings").get<json::object_t>(),
                   .defaults = run.at("defaults").get<json::object_t>(),
                   .files = run.at("files").get<std::map<std::string, std::string>>(),
                   .first_index = run.at("first_index").get<int64_t>()};
  if (run.contains("given")) {
    record.given = run["given"].get<json::object_t>();
    record.given.value(sweep_key, std::vector<std::string>());  // throws for anything else
    record.given.value(wildcards_key, std::string());
  }
  if (run.contains("seeds_from")) record.seeds_from = run["seeds_from"].get<uint64_t>();
  const auto requests = run.at("requests").get<std::string>();
  if (requests.size() != run.at("pictures").get<size_t>() * digest_digits || record.first_index < 0 ||
      record.first_index > most_index) {
    throw Error(ErrorKind::output, {.reason = "its requests do not fit its pictures"});
  }
  for (const char* seed : {"seed", "variation-seed"}) {
    const auto found = record.defaults.find(seed);
    if (found == record.defaults.end() || found->is_number_unsigned()) continue;
    throw Error(ErrorKind::output, {.reason = fmt::format("defaults: {}: {} is no seed", seed, found->dump())});
  }
  for (size_t i = 0; i < requests.size(); i += digest_digits) {
    record.requests.push_back(requests.substr(i, digest_digits));
  }
  return record;
}

PictureRecord picture_of_line(const json& line) {
  PictureRecord record{.index = line.at("index").get<int64_t>(),
                       .path = line.at("path").get<std::string>(),
                       .sha256 = line.at("sha256").get<std::string>(),
                       .bytes = line.at("bytes").get<uint64_t>(),
                       .request = line.at("request").get<std::string>()};
  if (line.contains("notes")) record.notes = line["notes"].get<std::vector<std::string>>();
  // A name, never a way out of the folder.
  if (record.path.empty() || record.path == "." || record.path == ".." || record.path.find('/') != std::string::npos) {
    throw Error(ErrorKind::output, {.reason = fmt::format("path: '{}' is no file's name", record.path)});
  }
  return record;
}

FailureRecord failure_of_line(const json& line) {
  return {.index = line.at("index").get<int64_t>(),
          .request = line.at("request").get<std::string>(),
          .error = line.at("error").get<std::string>(),
          .exit_code = line.at("exit_code").get<int>()};
}

/// Puts a picture's record in the place of an earlier one.
void take_place(JournalContent& content, PictureRecord picture) {
  PictureRecord& kept = content.pictures[picture.index];
  if (!kept.path.empty() && kept.path != picture.path) content.superseded[kept.path] = kept;
  content.superseded.erase(picture.path);
  kept = std::move(picture);
}

void add_line(JournalContent& content, const json& line) {
  if (line.contains("run")) {
    content.runs.push_back(run_of(line));
  } else if (line.contains("error")) {
    FailureRecord failure = failure_of_line(line);
    content.failures[failure.index] = std::move(failure);
  } else {
    PictureRecord picture = picture_of_line(line);
    content.failures.erase(picture.index);
    content.sha256[picture.path] = picture.sha256;
    take_place(content, std::move(picture));
  }
}

/// Of two names of one picture's files, whether the first was taken later.
bool is_later(const std::string& name, const std::string& than) {
  return std::pair(name.size(), name) > std::pair(than.size(), than);
}

/// False where another process holds it.
bool try_lock(int file, int how, const fs::path& path) {
  while (flock(file, how | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK) return false;
    fail_by_system(path, "cannot be locked", errno);
  }
  return true;
}

void lock(int file, int how, const fs::path& path, bool wait) {
  for (bool told = false; !try_lock(file, how, path); told = true) {
    if (!wait) {
      fail(ErrorKind::in_use, path, "", "another run works in this folder", "--wait waits for its end");
    }
    if (!told) log_info(fmt::format("waiting for another run in {}", path.parent_path().string()));
    throw_if_interrupted();
    usleep(between_tries);
  }
}

int open_journal(const fs::path& path) {
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file < 0) fail_by_system(path, "cannot be opened", errno);
  return file;
}

/// The journal of another number of shards, in which a run works now; none: an empty path.
fs::path other_division_at_work(const fs::path& folder, const Shard& shard) {
  for (const fs::path& path : journals_in(folder)) {
    const auto count = shards_of_journal(path.filename().string());
    if (!count || *count == shard.count) continue;
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) continue;  // joined meanwhile
    const bool works = flock(file, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(file);
    if (works) return path;
  }
  return {};
}

/// The file behind the name, opened and locked.
int open_locked(const fs::path& path, int how, bool wait) {
  for (;;) {
    const int file = open_journal(path);
    try {
      lock(file, how, path, wait);
    } catch (...) {
      close(file);
      throw;
    }
    if (is_named(file, path)) return file;  // joining journals puts another in its place
    close(file);
  }
}

std::string text_of(const fs::path& file) {
  std::error_code error;
  if (!fs::is_regular_file(file, error)) fail(ErrorKind::output, file, "", "is no regular file");  // a pipe has no end
  try {
    std::ifstream in(file, std::ios::binary);
    if (in) return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  } catch (const std::ios_base::failure&) {  // a disk that is broken
  }
  fail(ErrorKind::output, file, "", "cannot be read");
}

[[noreturn]] void fail_at(const fs::path& file, const std::string& place, const std::string& reason) {
  fail(ErrorKind::output, file, place, reason,
       "take the line out: if it told of a picture, --resume takes that up again");
}

/// Takes a last line without its end off.
void cut_torn_line(int file, const fs::path& path) {
  off_t end = lseek(file, 0, SEEK_END);
  if (end < 0) fail_by_system(path, "cannot be read", errno);
  const off_t before = end;
  for (char last = 0; end > 0; --end) {
    if (pread(file, &last, 1, end - 1) != 1) fail_by_system(path, "cannot be read", errno);
    if (last == '\n') break;
  }
  if (end == before) return;
  if (ftruncate(file, end) != 0) fail_by_system(path, "cannot be mended", errno);
  log_info(fmt::format("{}: a last line that was torn is taken off", path.string()));
}

}  // namespace

std::string journal_name_of(const std::optional<Shard>& shard) {
  if (!shard) return std::string(journal_name);
  return fmt::format("{}{}-of-{}{}", shard_prefix, shard->index, shard->count, journal_ending);
}

std::vector<fs::path> journals_in(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder.empty() ? "." : folder, error), end; !error && entry != end;) {
    const std::string name = entry->path().filename().string();
    if (shards_of_journal(name) || name == journal_name) found.push_back(entry->path());
    entry.increment(error);
  }
  if (error) fail(ErrorKind::output, folder, "", "cannot be listed: " + error.message());
  std::ranges::sort(found, {}, [](const fs::path& path) {
    return std::pair(path.filename() != journal_name, path.filename().string());
  });
  return found;
}

JournalContent read_journal(const fs::path& file) {
  const std::string text = text_of(file);
  JournalContent content;
  size_t number = 0;
  for (size_t start = 0, end = 0; (end = text.find('\n', start)) != std::string::npos; start = end + 1) {
    ++number;
    const std::string place = fmt::format("line {}", number);
    const std::string_view line = std::string_view(text).substr(start, end - start);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    try {
      add_line(content,
               parse_json(line, file.string(), ErrorKind::output, {.max_bytes = line.size(), .first_line = number}));
    } catch (const json::exception& error) {
      fail_at(file, place, fmt::format("is no journal's: {}", error.what()));
    } catch (const Error& error) {
      fail_at(file, error.parts().place.empty() ? place : error.parts().place, error.parts().reason);
    }
  }
  return content;
}

FolderJournals read_journals(const fs::path& folder, const std::string& own) {
  for (;;) {
    FolderJournals found;
    fs::path file;
    try {
      for (const fs::path& one : journals_in(folder)) {
        file = one;
        JournalContent content = read_journal(file);
        if (file.filename() == own) found.own_runs = content.runs;
        add_journal(found.all, std::move(content));
      }
      return found;
    } catch (const Error&) {
      std::error_code error;
      if (file.empty() || fs::symlink_status(file, error).type() != fs::file_type::not_found) throw;
    }
  }
}

JournalContent read_journals(const fs::path& folder) { return read_journals(folder, "").all; }

void check_unrecorded(const fs::path& file) {
  std::error_code error;
  const fs::path there = fs::canonical(file, error);  // what a link leads to is what would be replaced
  if (error) return;
  try {
    if (!read_journals(there.parent_path()).sha256.contains(there.filename().string())) return;
  } catch (const Error& failure) {
    fail(ErrorKind::output, file, "", fmt::format("may be a run's picture: {}", failure.what()), "give another name");
  }
  fail(ErrorKind::output, file, "", "is a run's picture, of which the folder's journal tells", "give another name");
}

void add_journal(JournalContent& all, JournalContent more) {
  for (RunRecord& run : more.runs) {
    if (std::ranges::find(all.runs, run) == all.runs.end()) all.runs.push_back(std::move(run));
  }
  for (auto& [index, picture] : more.pictures) {
    all.failures.erase(index);
    const auto kept = all.pictures.find(index);
    if (kept == all.pictures.end() || !is_later(kept->second.path, picture.path)) {
      take_place(all, std::move(picture));
    } else {
      all.superseded[picture.path] = std::move(picture);
    }
  }
  all.superseded.merge(more.superseded);
  std::erase_if(all.superseded, [&](const auto& one) { return all.pictures.at(one.second.index).path == one.first; });
  for (auto& [path, sha256] : more.sha256) all.sha256[path] = std::move(sha256);
  for (auto& [index, failure] : more.failures) {
    if (!all.pictures.contains(index)) all.failures[index] = std::move(failure);
  }
}

std::map<std::string, int64_t> owners_of_files(const JournalContent& content) {
  std::map<std::string, int64_t> owners;
  for (const auto& [index, picture] : content.pictures) owners.emplace(picture.path, index);
  return owners;
}

std::string journal_text(const JournalContent& content) {
  std::string text;
  const auto add = [&](const json& line) { text += line.dump() + "\n"; };
  for (const RunRecord& run : content.runs) add(to_json(run));
  std::multimap<int64_t, const PictureRecord*> earlier;
  for (const auto& [path, picture] : content.superseded) earlier.emplace(picture.index, &picture);
  for (const auto& [index, picture] : content.pictures) {
    const auto [first, last] = earlier.equal_range(index);
    for (auto one = first; one != last; ++one) add(to_json(*one->second));
    add(to_json(picture));
  }
  for (const auto& [index, failure] : content.failures) add(to_json(failure));
  return text;
}

Journal::Journal(const fs::path& folder, const std::optional<Shard>& shard, bool wait)
    : path_((folder.empty() ? fs::path(".") : folder) / journal_name_of(shard)) {
  try {
    for (bool told = false; !lock_files(shard, wait, told); told = true) {
      throw_if_interrupted();
      usleep(between_tries + static_cast<useconds_t>(getpid() % between_tries));  // not in step with who waits for this
    }
    cut_torn_line(file_, path_);
    in_order_ = lseek(file_, 0, SEEK_END) == 0;
    sync_folder(path_.parent_path());
  } catch (...) {
    close_files();
    throw;
  }
}

Journal::~Journal() { close_files(); }

/// False where a run of another number of shards, some of whose pictures are this one's, is to be waited for.
bool Journal::lock_files(const std::optional<Shard>& shard, bool wait, bool told) {
  const fs::path folder = path_.parent_path();
  fs::path other;
  if (shard) {
    folder_lock_ = open_locked(folder / journal_name, LOCK_SH, wait);
    other = other_division_at_work(folder, *shard);
  }
  if (other.empty()) {
    file_ = open_locked(path_, LOCK_EX, wait);
    if (shard) other = other_division_at_work(folder, *shard);  // one that began at the same moment
  }
  if (other.empty()) return true;
  close_files();
  if (!wait) {
    fail(ErrorKind::in_use, other, "", "a run of another number of shards works in this folder",
         "--wait waits for its end");
  }
  if (!told) log_info(fmt::format("waiting for a run of another number of shards in {}", folder.string()));
  return false;
}

void Journal::close_files() {
  // A share that was refused leaves none: --shard auto would take it for a division that is at work.
  const bool of_shard = folder_lock_ >= 0 && file_ >= 0;
  if (of_shard && lseek(file_, 0, SEEK_END) == 0 && is_named(file_, path_)) unlink(path_.c_str());
  for (int* file : {&file_, &folder_lock_}) {
    if (*file >= 0) close(*file);
    *file = -1;
  }
}

void Journal::add(const RunRecord& run) { append(to_json(run)); }

void Journal::add(const PictureRecord& picture) {
  append(to_json(picture));
  in_order_ = in_order_ && (!last_index_ || *last_index_ < picture.index);
  last_index_ = picture.index;
}

void Journal::add(const FailureRecord& failure) {
  append(to_json(failure));
  in_order_ = false;  // its place is at the end
}

void Journal::put_in_order() {
  if (in_order_) return;
  const std::string ordered = journal_text(read_journal(path_));
  if (ordered != text_of(path_)) write_file_atomically(path_, ordered);
}

void Journal::append(const json& line) {
  const std::string text = line.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  if (torn_) cut_torn_line(file_, path_);
  torn_ = true;
  for (size_t done = 0; done < text.size();) {
    const ssize_t written = write(file_, text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_by_system(path_, "cannot be written", errno);
    done += static_cast<size_t>(written);
  }
  torn_ = false;
  if (fsync(file_) != 0) fail_by_system(path_, "cannot be synced", errno);
}

}  // namespace sdtorch
