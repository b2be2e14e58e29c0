#include "io/add_on_files.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "core/error.hpp"
#include "core/paths.hpp"
#include "core/suggest.hpp"
#include "core/utf8.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

constexpr int deepest_folder = 16;  // links may lead in circles
constexpr size_t most_candidates = 20;

bool has_ending(const fs::path& file, std::span<const std::string_view> endings) {
  return std::ranges::find(endings, ascii_lower(file.extension().string())) != endings.end();
}

std::string listed(std::vector<std::string> names) {
  const size_t left_out = names.size() > most_candidates ? names.size() - most_candidates : 0;
  names.resize(names.size() - left_out);
  return fmt::format("{}{}", fmt::join(names, ", "), left_out > 0 ? fmt::format(" and {} more", left_out) : "");
}

}  // namespace

std::vector<AddOnFile> add_on_files(const fs::path& folder, std::span<const std::string_view> endings,
                                    std::string_view flag) {
  if (!is_folder(folder)) refuse(flag, fmt::format("'{}' is no folder", folder.string()));
  std::vector<AddOnFile> files;
  std::set<fs::path> seen;
  std::error_code error;
  const auto options = fs::directory_options::follow_directory_symlink | fs::directory_options::skip_permission_denied;
  for (fs::recursive_directory_iterator entry(folder, options, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry.depth() >= deepest_folder) entry.disable_recursion_pending();
    std::error_code unreadable;
    const fs::path path = entry->path();
    if (!has_ending(path, endings) || !entry->is_regular_file(unreadable) || unreadable) continue;
    const fs::path real = fs::canonical(path, unreadable);
    if (unreadable || invalid_utf8_offset(path.stem().string()) || !seen.insert(real).second) continue;
    files.push_back({.path = path,
                     .name = path.stem().string(),
                     .inner = path.lexically_relative(folder).replace_extension().generic_string()});
  }
  std::ranges::sort(files, {}, [](const AddOnFile& file) { return std::pair(file.inner, file.path); });
  return files;
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

}  // namespace sdtorch
