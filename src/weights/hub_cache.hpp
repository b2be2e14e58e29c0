// Models that Hugging Face's own tools have downloaded.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace sdtorch {

/// The cache's folder: HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub or
/// ~/.cache/huggingface/hub, the first whose variable is set; `~/` in front of one is the home folder.
std::filesystem::path hub_cache();

/// Whether a model's name could be one on the hub: `org/name`, of letters, digits, `.`, `_` and `-`.
bool is_hub_name(const std::string& name);

/// Where the cache keeps, or would keep, the model `org/name`: a folder `models--org--name`.
std::filesystem::path hub_folder(const std::string& name);

/// Whether the path is such a folder, in whatever cache.
bool is_hub_model_folder(const std::filesystem::path& path);

/// The model's files in such a folder, as its `main` branch was when it was downloaded; where the folder does not tell,
/// its only snapshot. None where there is none.
std::optional<std::filesystem::path> snapshot_of(const std::filesystem::path& folder);

}  // namespace sdtorch
