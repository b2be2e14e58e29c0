#include "io/add_on_files.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <set>
#include <system_error>
#include <utility>

#include "core/error.hpp"
#include "core/paths.hpp"
#include "core/suggest.hpp"
#include "core/utf8.hpp"
#include "io/mapped_file.hpp"
#include "io/safetensors.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 4> weights_endings = {".safetensors", ".pt", ".ckpt", ".bin"};
constexpr size_t most_candidates = 20;  // that a message lists

bool has_ending(const fs::path& file, std::span<const std::string_view> endings) {
  return std::ranges::find(endings, ascii_lower(file.extension().string())) != endings.end();
}

std::string listed(std::vector<std::string> names) {
  const size_t left_out = names.size() > most_candidates ? names.size() - most_candidates : 0;
  names.resize(names.size() - left_out);
  return fmt::format("{}{}", fmt::join(names, ", "), left_out > 0 ? fmt::format(" and {} more", left_out) : "");
}

/// Appends the files of a folder and of those below it. seen: the folders that were looked into.
void add_files(const fs::path& root, const fs::path& folder, std::span<const std::string_view> endings,
               std::set<fs::path>& seen, std::vector<AddOnFile>& files) {
  std::error_code error;
  if (!seen.insert(fs::canonical(folder, error)).second || error) return;
  std::vector<fs::path> folders;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const fs::path path = entry->path();
    if (is_folder(path)) {
      folders.push_back(path);
    } else if (has_ending(path, endings) && is_there(path) && !invalid_utf8_offset(path.stem().string())) {
      files.push_back({.path = path,
                       .name = path.stem().string(),
                       .inner = path.lexically_relative(root).replace_extension().generic_string()});
    }
  }
  std::ranges::sort(folders);
  for (const fs::path& below : folders) add_files(root, below, endings, seen, files);
}

/// Whether a path in the folder, with its ending or without, ends in the name.
bool is_called(const AddOnFile& file, const std::string& name) {
  const auto ends_in = [&](const std::string& path) {
    if (name.starts_with("./")) return path == name.substr(2);
    return path == name || path.ends_with("/" + name);
  };
  return ends_in(file.inner) || ends_in(file.inner + file.path.extension().string());
}

[[noreturn]] void refuse_missing(const fs::path& folder, const std::string& name, const AddOnQuery& query,
                                 const std::vector<AddOnFile>& files) {
  if (files.empty()) {
    refuse(query.asked_by, fmt::format("there is no {} '{}': {} holds none", query.kind, name, folder.string()));
  }
  std::vector<std::string> names;
  for (const AddOnFile& file : files) names.push_back(file.name);
  const std::string near = nearest(name, names);
  std::ranges::sort(names);
  const auto [first, last] = std::ranges::unique(names);
  names.erase(first, last);
  refuse(query.asked_by, fmt::format("there is no {} '{}' in {}", query.kind, name, folder.string()),
         fmt::format("{}there {} {}", near.empty() ? "" : fmt::format("did you mean {}? ", near),
                     names.size() == 1 ? "is" : "are", listed(names)));
}

[[noreturn]] void refuse_ambiguous(const fs::path& folder, const std::string& name, const AddOnQuery& query,
                                   const std::vector<AddOnFile>& found) {
  std::vector<std::string> paths;
  for (const AddOnFile& file : found) paths.push_back(file.path.lexically_relative(folder).generic_string());
  const bool inside = paths.front().find('/') != std::string::npos;
  refuse(query.asked_by, fmt::format("'{}' may be {} files: {}", name, found.size(), listed(paths)),
         fmt::format("say more of its path, such as {}{}", inside ? "" : "./", paths.front()));
}

}  // namespace

std::vector<AddOnFile> add_on_files(const fs::path& folder, std::span<const std::string_view> endings,
                                    std::string_view flag) {
  if (!is_folder(folder)) refuse(flag, fmt::format("'{}' is no folder", folder.string()));
  std::vector<AddOnFile> files;
  std::set<fs::path> seen;
  add_files(folder, folder, endings, seen, files);
  std::ranges::sort(files, {}, [](const AddOnFile& file) { return std::pair(file.inner, file.path); });
  return files;
}

std::string own_name_of(const fs::path& file) {
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

void require_add_on(const fs::path& file, std::string_view flag) {
  if (is_there(file)) return;
  std::vector<std::string> names;
  std::error_code error;
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const fs::path other = entry->path();
    const bool alike =
        !file.has_extension() || ascii_lower(other.extension().string()) == ascii_lower(file.extension().string());
    if (alike && !entry->is_directory(error)) names.push_back(other.filename().string());
  }
  std::ranges::sort(names);
  const std::string near = nearest(file.filename().string(), names);
  const std::string hint = names.empty()  ? std::string()
                           : near.empty() ? fmt::format("its folder has {}", listed(names))
                                          : fmt::format("did you mean {}? Its folder has {}", near, listed(names));
  refuse(flag, fmt::format("there is no file '{}'", file.string()), hint);
}

fs::path find_add_on(const fs::path& folder, const std::string& name, const AddOnQuery& query) {
  if (name.empty()) refuse(query.asked_by, fmt::format("names no {}", query.kind));
  if (folder.empty()) {
    refuse(query.asked_by, fmt::format("there is no folder to look for '{}' in", name),
           fmt::format("give {} DIR", query.dir_flag));
  }
  if (!is_folder(folder)) refuse(query.dir_flag, fmt::format("{}: no such folder", folder.string()));
  const std::vector<AddOnFile> files = add_on_files(folder, weights_endings, query.dir_flag);
  std::vector<AddOnFile> found;
  std::ranges::copy_if(files, std::back_inserter(found), [&](const AddOnFile& file) { return is_called(file, name); });
  if (found.empty()) {
    std::ranges::copy_if(files, std::back_inserter(found),
                         [&](const AddOnFile& file) { return own_name_of(file.path) == name; });
  }
  if (found.empty()) refuse_missing(folder, name, query, files);
  std::error_code error;
  const bool same = std::ranges::all_of(
      found, [&](const AddOnFile& file) { return fs::equivalent(file.path, found.front().path, error); });
  if (!same) refuse_ambiguous(folder, name, query, found);
  return found.front().path;
}

}  // namespace sdtorch
