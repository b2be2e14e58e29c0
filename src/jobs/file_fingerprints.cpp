#include "jobs/file_fingerprints.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <span>

#include "core/error.hpp"
#include "core/suggest.hpp"
#include "io/add_on_files.hpp"
#include "io/mapped_file.hpp"
#include "io/sha256.hpp"
#include "jobs/request_facts.hpp"
#include "pipeline/metadata.hpp"
#include "pipeline/settings_json.hpp"
#include "weights/model_path.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

/// How much of a file is looked at.
struct Sample {
  size_t whole_bytes = 0;  ///< up to here all of it
  size_t pieces = 0, piece_bytes = 0;
};

constexpr Sample of_one{.whole_bytes = whole_bytes, .pieces = 256, .piece_bytes = size_t{64} << 10};
constexpr Sample of_many{.whole_bytes = size_t{64} << 10, .pieces = 16, .piece_bytes = size_t{4} << 10};

std::string of_bytes(const fs::path& file, const Sample& sample = of_one) {
  const MappedFile mapped(file, ErrorKind::model);
  const std::span<const std::byte> bytes = mapped.bytes();
  if (bytes.size() <= sample.whole_bytes) return sha256(bytes);
  std::string all = fmt::format("{}", bytes.size());
  const size_t last = bytes.size() - sample.piece_bytes;
  for (size_t i = 0; i < sample.pieces; ++i) {
    all += sha256(bytes.subspan(last / (sample.pieces - 1) * i, sample.piece_bytes));
  }
  return all + sha256(bytes.subspan(last, sample.piece_bytes));
}

/// Whether a model's folder is another one with another such file: what weights, configs and tokenizers are kept in,
/// not what else lies beside them.
bool is_of_model(const fs::path& file) {
  static const std::set<std::string> endings{".safetensors", ".bin",  ".pt",  ".pth",  ".ckpt",
                                             ".json",        ".yaml", ".yml", ".model"};
  return endings.contains(file.extension().string()) || file.filename() == "merges.txt";
}

/// Its files below, in the order of their names; hidden ones are nobody's weights.
std::vector<fs::path> files_below(const fs::path& folder, bool hidden_too = false) {
  std::vector<fs::path> files;
  std::error_code error;
  const auto options = fs::directory_options::follow_directory_symlink;
  for (fs::recursive_directory_iterator entry(folder, options, error), end; !error && entry != end;
       entry.increment(error)) {
    const bool hidden = !hidden_too && entry->path().filename().string().starts_with('.');
    if (hidden && entry->is_directory(error)) entry.disable_recursion_pending();
    if (!hidden && entry->is_regular_file(error)) files.push_back(entry->path());
  }
  std::ranges::sort(files);
  return files;
}

/// Whether a file of a folder that is searched may be what some text calls by its name. texts: in lower case.
bool is_called(const fs::path& file, std::string_view texts) {
  const auto is_said = [&](const std::string& name) {
    return !name.empty() && texts.find(ascii_lower(name)) != std::string_view::npos;
  };
  return is_said(file.stem().string()) || is_said(own_name_of(file));
}

/// The path in `FILE:W`, `FILE=TOKEN` or `PATH=FILE`: the longest that is there, else nothing.
fs::path path_in(std::string text) {
  std::error_code error;
  while (!text.empty() && !fs::exists(text, error)) {
    const size_t end = text.find_last_of(":=");
    text.resize(end == std::string::npos ? 0 : end);
  }
  return text;
}

class Fingerprints {
 public:
  void add(const Setting& setting, const std::string& text) {
    if (text.empty() || !seen_.insert(fmt::format("{} {}", setting.name, text)).second) return;
    const fs::path path = path_in(text);
    if (path.empty()) return;
    put(setting, path);
  }

  void add_model(const ModelChoice& choice) {
    if (!seen_.insert("model " + choice.model).second) return;
    made_["model " + model_name(choice)] = fingerprint(find_model(choice.model));
  }

  /// What may call add-ons by their names.
  void add_text(const std::string& text) { texts_.insert(text); }

  /// What a flag calls by a name.
  void add_name(const std::string& name) { names_.insert(name); }

  /// A file of styles, whose texts come to prompts.
  void add_styles(const std::string& file) {
    if (file.empty() || !seen_.insert("texts of " + file).second) return;
    try {
      const MappedFile styles(file, ErrorKind::input);
      texts_.emplace(reinterpret_cast<const char*>(styles.bytes().data()), styles.bytes().size());
    } catch (const Error&) {  // one that cannot be read is told where it is asked for
    }
  }

  /// Once all has been added.
  std::map<std::string, std::string> finish() {
    std::string texts, tags;
    for (const std::string& text : texts_) texts += ascii_lower(text) + "\n";
    for (size_t at = texts.find('<'); at != std::string::npos; at = texts.find('<', at + 1)) {
      tags += texts.substr(at, texts.find_first_of("<>\n", at + 1) - at) + "\n";
    }
    for (const std::string& name : names_) tags += ascii_lower(name) + "\n";
    // Embeddings are words of a prompt, all others stand in tags.
    for (const auto& [name, folder] : searched_) put_called(name, folder, name == "embd-dir" ? texts : tags);
    return std::move(made_);
  }

 private:
  void put(const Setting& setting, const fs::path& path) {
    if (setting.name.ends_with("-dir") && fs::is_directory(path)) {
      searched_.emplace_back(setting.name, path);
    } else {
      put(fmt::format("{} {}", setting.name, path.filename().string()), fingerprint(path));
    }
  }

  /// Of several files of one name the first that is asked for has it: lines that are added may bring another.
  void put(const std::string& name, const std::string& own) {
    std::string key = name;
    for (int more = 2; made_.contains(key) && made_[key] != own; ++more) key = fmt::format("{} ({})", name, more);
    made_[key] = own;
  }

  /// A folder's files that some text calls, each by itself: what is added to the folder changes nothing.
  void put_called(std::string_view name, const fs::path& folder, std::string_view texts) {
    for (const fs::path& file : files_below(folder, /*hidden_too=*/true)) {
      if (!is_called(file, texts)) continue;
      std::string own;
      try {
        own = digest_of_text(of_bytes(file, of_many));
      } catch (const Error&) {  // one that cannot be read is told where it is asked for
      }
      put(fmt::format("{} {}", name, file.lexically_relative(folder).string()), own);
    }
  }

  std::set<std::string> seen_{}, texts_{}, names_{};
  std::vector<std::pair<std::string, fs::path>> searched_{};  ///< flag and folder
  std::map<std::string, std::string> made_{};
};

void add_job(Fingerprints& all, const Job& job) {
  all.add_model(job.choice);
  const Settings settings{job.choice, job.request};
  for (const Setting& setting : sdtorch::settings()) {
    if (!names_path(setting) || setting.name == "model") continue;
    if (setting.name == "styles") continue;  // what they make of a prompt is the request's own
    if (const auto* one = std::get_if<std::string Settings::*>(&setting.member)) all.add(setting, settings.**one);
    const auto* list = std::get_if<std::vector<std::string> Settings::*>(&setting.member);
    if (!list) continue;
    for (const std::string& text : settings.**list) all.add(setting, text);
  }
}

bool searches_folders(const ModelChoice& choice) {
  return !choice.lora_dir.empty() || !choice.embd_dir.empty() || !choice.hypernetwork_dir.empty();
}

/// What of a job may call add-ons by their names.
void add_texts(Fingerprints& all, const Job& job) {
  const Settings settings{job.choice, job.request};
  all.add_text(settings.prompt);
  all.add_text(settings.negative_prompt.value_or(""));
  for (const std::string& text : settings.lora) all.add_name(text);
  for (const std::string& text : settings.hypernetwork) all.add_name(text);
  all.add_styles(settings.styles);
}

}  // namespace

std::string fingerprint(const fs::path& path) {
  std::error_code error;
  if (fs::is_regular_file(path, error)) return digest_of_text(of_bytes(path));
  if (!fs::is_directory(path, error)) return {};
  std::string all;
  for (const fs::path& file : files_below(path)) {
    if (is_of_model(file)) all += fmt::format("{} {}\n", file.lexically_relative(path).string(), of_bytes(file));
  }
  return digest_of_text(all);
}

std::map<std::string, std::string> fingerprints_of(const std::vector<Job>& jobs) {
  Fingerprints all;
  for (const Job& job : jobs) {
    add_job(all, job);
    if (searches_folders(job.choice)) add_texts(all, job);
  }
  return all.finish();
}

}  // namespace sdtorch
