// What `sdtorch inspect` says of networks that work beside a model: ControlNets, T2I-Adapters, depth estimators.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "weights/recognition.hpp"
#include "weights/state_dict.hpp"

namespace sdtorch {

struct PartDescription {
  std::string name{};  ///< "a ControlNet"
  std::vector<Finding> findings{};
};

/// By a folder's config and its class; nothing for other components. Reads what it finds, and refuses nothing: that is
/// for whoever draws.
std::optional<PartDescription> describe_part(const nlohmann::json& config, const std::string& class_name);

/// Of a single file; nothing where it is none, or lacks what tells its sizes.
std::optional<PartDescription> describe_part_file(const StateDict& weights, const std::filesystem::path& file);

}  // namespace sdtorch
