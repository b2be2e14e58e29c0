#include "weights/model_path.hpp"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "core/error.hpp"
#include "core/paths.hpp"
#include "weights/hub_cache.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

/// A path as `org/name` and what is below it, which is empty for the model itself; none where it cannot be that.
struct HubPath {
  std::string name;
  fs::path below;
};

std::optional<HubPath> hub_path(const fs::path& path) {
  HubPath parts;
  size_t count = 0;
  for (const fs::path& part : path) {
    if (part == "..") return std::nullopt;
    if (count < 2) {
      parts.name += (count > 0 ? "/" : "") + part.string();
    } else {
      parts.below /= part;
    }
    ++count;
  }
  if (!is_hub_name(parts.name)) return std::nullopt;
  return parts;
}

/// A path that is there: a model's folder in the cache leads to its snapshot, all others to themselves.
fs::path through_snapshot(const fs::path& path) {
  if (!is_hub_model_folder(path)) return path;
  if (const auto snapshot = snapshot_of(path)) return *snapshot;
  fail(ErrorKind::model, path, {},
       "is a model's folder in the Hugging Face cache, without a snapshot of its main branch",
       "download the model again, or name one of its snapshots");
}

}  // namespace

fs::path built_in_model() { return share_folder() / "models" / "demo"; }

fs::path find_model(const fs::path& path_or_name) {
  if (path_or_name.empty()) return built_in_model();
  std::error_code error;
  const fs::file_status status = fs::status(path_or_name, error);
  if (fs::exists(status)) return through_snapshot(path_or_name);
  if (status.type() != fs::file_type::not_found) {
    fail(ErrorKind::model, path_or_name, {}, fmt::format("cannot be looked at: {}", error.message()));
  }
  if (fs::is_symlink(fs::symlink_status(path_or_name, error))) {
    fail(ErrorKind::model, path_or_name, {},
         fmt::format("is a link to {}, which is not there", fs::read_symlink(path_or_name, error).string()));
  }
  const std::optional<HubPath> hub = hub_path(path_or_name);
  if (!hub) fail(ErrorKind::model, path_or_name, {}, "there is no such model folder or file");
  const fs::path folder = hub_folder(hub->name);
  if (!is_folder(folder)) {
    fail(ErrorKind::model, path_or_name, {},
         fmt::format("there is no such model folder or file, nor a model of this name in {}", hub_cache().string()));
  }
  const fs::path snapshot = through_snapshot(folder);
  if (hub->below.empty()) return snapshot;
  if (!is_there(snapshot / hub->below))
    fail(ErrorKind::model, path_or_name, {}, fmt::format("there is no such file in {}", snapshot.string()));
  return snapshot / hub->below;
}

}  // namespace sdtorch
