#include "sdtorch/weights/hub_cache.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <system_error>

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

bool is_name_part(const std::string& part) {
  const auto allowed = [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' ||
           c == '-';
  };
  return !part.empty() && part != "." && part != ".." && std::all_of(part.begin(), part.end(), allowed);
}

}  // namespace

fs::path hub_cache() {
  for (const auto& [variable, below] : cache_places) {
    const char* value = std::getenv(variable);
    if (value && *value) return *below ? fs::path(value) / below : fs::path(value);
  }
  return fs::path(".cache") / "huggingface" / "hub";
}

bool is_hub_name(const std::string& name) {
  const size_t slash = name.find('/');
  return slash != std::string::npos && is_name_part(name.substr(0, slash)) && is_name_part(name.substr(slash + 1));
}

std::optional<fs::path> find_in_hub_cache(const std::string& name) {
  if (!is_hub_name(name)) return std::nullopt;
  const size_t slash = name.find('/');
  const fs::path model = hub_cache() / ("models--" + name.substr(0, slash) + "--" + name.substr(slash + 1));
  std::string commit;
  std::ifstream(model / "refs" / "main") >> commit;
  if (!is_name_part(commit)) return std::nullopt;
  const fs::path snapshot = model / "snapshots" / commit;
  std::error_code ignored;
  if (!fs::is_directory(snapshot, ignored)) return std::nullopt;
  return snapshot;
}

}  // namespace sdtorch
