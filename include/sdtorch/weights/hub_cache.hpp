// Models that Hugging Face's own tools have downloaded.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace sdtorch {

/// The cache's folder: HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub or
/// ~/.cache/huggingface/hub, the first whose variable is set.
std::filesystem::path hub_cache();

/// Whether a model's name could be one on the hub: `org/name`, of letters, digits, `.`, `_` and `-`.
bool is_hub_name(const std::string& name);

/// The folder of a model in the cache, as its `main` branch was when it was downloaded; none where it is not there.
std::optional<std::filesystem::path> find_in_hub_cache(const std::string& name);

}  // namespace sdtorch
