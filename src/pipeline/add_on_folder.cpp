#include "pipeline/add_on_folder.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>
#include <system_error>
#include <vector>

#include "core/error.hpp"
#include "core/paths.hpp"
#include "core/suggest.hpp"
#include "io/mapped_file.hpp"
#include "io/safetensors.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 4> endings = {".safetensors", ".pt", ".ckpt", ".bin"};
constexpr size_t most_named = 20;  // candidates that a message lists

bool is_weights_file(const fs::path& path) {
  return std::ranges::find(endings, ascii_lower(path.extension().string())) != endings.end();
}

/// Appends the weights files of a folder and of those below it, as paths from `root`. A folder that links lead to
/// twice, or back to, is looked into once.
void add_files(const fs::path& root, const fs::path& folder, std::set<fs::path>& seen, std::vector<fs::path>& files) {
  std::error_code error;
  if (!seen.insert(fs::canonical(folder, error)).second || error) return;
  std::vector<fs::path> folders;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (is_folder(entry->path())) {
      folders.push_back(entry->path());
    } else if (is_weights_file(entry->path())) {
      files.push_back(entry->path().lexically_relative(root));
    }
  }
  std::ranges::sort(folders);
  for (const fs::path& below : folders) add_files(root, below, seen, files);
}

std::string without_ending(const fs::path& file) { return fs::path(file).replace_extension().generic_string(); }

bool is_called(const fs::path& file, const std::string& name) {
  const auto ends_in = [&](const std::string& path) {
    if (name.starts_with("./")) return path == name.substr(2);
    return path == name || path.ends_with("/" + name);
  };
  return ends_in(file.generic_string()) || ends_in(without_ending(file));
}

/// kohya's name for what it trained; empty where a file says none, or is not one that can be read.
std::string own_name(const fs::path& file) {
  if (ascii_lower(file.extension().string()) != ".safetensors") return "";
  try {
    const MappedFile mapped(file, ErrorKind::model);
    const auto metadata = read_safetensors_header(mapped.bytes(), file.string()).metadata;
    const auto found = metadata.find("ss_output_name");
    return found == metadata.end() ? "" : found->second;
  } catch (const Error&) {
    return "";  // it is not what was asked for, and another may be
  }
}

[[noreturn]] void refuse_missing(const fs::path& folder, const std::string& name, const AddOnQuery& query,
                                 const std::vector<fs::path>& files) {
  if (files.empty()) {
    refuse(query.asked_by, fmt::format("there is no {} '{}': {} holds none", query.kind, name, folder.string()));
  }
  std::vector<std::string> names;
  for (const fs::path& file : files) names.push_back(without_ending(file.filename()));
  const std::string near = nearest(name, names);
  std::ranges::sort(names);
  const auto [first, last] = std::ranges::unique(names);
  names.erase(first, last);
  const size_t more = names.size() > most_named ? names.size() - most_named : 0;
  names.resize(names.size() - more);
  refuse(query.asked_by, fmt::format("there is no {} '{}' in {}", query.kind, name, folder.string()),
         fmt::format("{}there {} {}{}", near.empty() ? "" : fmt::format("did you mean {}? ", near),
                     names.size() == 1 ? "is" : "are", fmt::join(names, ", "),
                     more > 0 ? fmt::format(" and {} more", more) : ""));
}

[[noreturn]] void refuse_ambiguous(const std::string& name, const AddOnQuery& query,
                                   const std::vector<fs::path>& found) {
  std::vector<std::string> paths;
  for (const fs::path& file : found) paths.push_back(file.generic_string());
  const size_t more = paths.size() > most_named ? paths.size() - most_named : 0;
  paths.resize(paths.size() - more);
  refuse(query.asked_by,
         fmt::format("'{}' may be {} files: {}{}", name, found.size(), fmt::join(paths, ", "),
                     more > 0 ? fmt::format(" and {} more", more) : ""),
         fmt::format("say more of its path, such as {}{}", found.front().has_parent_path() ? "" : "./", paths.front()));
}

}  // namespace

fs::path find_add_on(const fs::path& folder, const std::string& name, const AddOnQuery& query) {
  if (name.empty()) refuse(query.asked_by, fmt::format("names no {}", query.kind));
  if (folder.empty()) {
    refuse(query.asked_by, fmt::format("there is no folder to look for '{}' in", name),
           fmt::format("give {} DIR", query.dir_flag));
  }
  if (!is_folder(folder)) refuse(query.dir_flag, fmt::format("{}: no such folder", folder.string()));
  std::vector<fs::path> files, found;
  std::set<fs::path> seen;
  add_files(folder, folder, seen, files);
  std::ranges::sort(files);
  std::ranges::copy_if(files, std::back_inserter(found), [&](const fs::path& file) { return is_called(file, name); });
  if (found.empty()) {
    std::ranges::copy_if(files, std::back_inserter(found),
                         [&](const fs::path& file) { return own_name(folder / file) == name; });
  }
  if (found.empty()) refuse_missing(folder, name, query, files);
  if (found.size() > 1) refuse_ambiguous(name, query, found);
  return folder / found.front();
}

}  // namespace sdtorch
