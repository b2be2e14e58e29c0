#include "weights/hub_cache.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <system_error>

#include "core/paths.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

/// A folder that an environment variable names, with what stands below it there.
struct CachePlace {
  const char* variable;
  const char* below;
};

constexpr CachePlace cache_places[] = {
    {"HF_HUB_CACHE", ""},
    {"HUGGINGFACE_HUB_CACHE", ""},
    {"HF_HOME", "hub"},
    {"XDG_CACHE_HOME", "huggingface/hub"},
    {"HOME", ".cache/huggingface/hub"},
};

const std::string folder_prefix = "models--";
constexpr const char* snapshots = "snapshots";

fs::path with_home(const std::string& path) {
  const char* home = std::getenv("HOME");
  return path.starts_with("~/") && home ? fs::path(home) / path.substr(2) : fs::path(path);
}

bool is_name_part(const std::string& part) {
  const auto allowed = [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' ||
           c == '-';
  };
  return !part.empty() && part != "." && part != ".." && std::all_of(part.begin(), part.end(), allowed);
}

/// The commit that refs/main names: empty where there is no such file, what is no name where there is something else.
std::string main_commit(const fs::path& folder) {
  constexpr uintmax_t max_bytes = 1000;  // 40 digits and a line break
  const fs::path file = folder / "refs" / "main";
  std::error_code error;
  if (!is_there(file)) return {};
  if (!fs::is_regular_file(file, error) || fs::file_size(file, error) > max_bytes) return "..";
  std::string commit;
  std::ifstream(file) >> commit;
  return commit;
}

}  // namespace

fs::path hub_cache() {
  for (const auto& [variable, below] : cache_places) {
    const char* value = std::getenv(variable);
    if (value && *value) return *below ? with_home(value) / below : with_home(value);
  }
  return fs::path(".cache") / "huggingface" / "hub";
}

bool is_hub_name(const std::string& name) {
  const size_t slash = name.find('/');
  return slash != std::string::npos && is_name_part(name.substr(0, slash)) && is_name_part(name.substr(slash + 1));
}

fs::path hub_folder(const std::string& name) {
  const size_t slash = name.find('/');
  return hub_cache() / (folder_prefix + name.substr(0, slash) + "--" + name.substr(slash + 1));
}

bool is_hub_model_folder(const fs::path& path) {
  const fs::path name = path.has_filename() ? path.filename() : path.parent_path().filename();
  return name.string().starts_with(folder_prefix) && is_folder(path / snapshots) &&
         !is_there(path / "model_index.json");
}

std::optional<fs::path> snapshot_of(const fs::path& folder) {
  const std::string commit = main_commit(folder);
  if (is_name_part(commit) && is_folder(folder / snapshots / commit)) return folder / snapshots / commit;
  if (!commit.empty()) return std::nullopt;

  std::error_code ignored;
  std::optional<fs::path> only;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder / snapshots, ignored)) {
    if (only) return std::nullopt;
    only = entry.path();
  }
  return only && is_folder(*only) ? only : std::nullopt;
}

}  // namespace sdtorch
