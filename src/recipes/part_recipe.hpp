// The configuration files of networks that are no model by themselves, as they were published, and small ones.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace sdtorch {

enum class PartKind { controlnet, t2i_adapter, depth_estimator, classifier };

struct PartRecipe {
  PartKind kind = PartKind::controlnet;
  nlohmann::json config{};
  nlohmann::json preparation{};  ///< preprocessor_config.json; null where there is none
};

/// What init-model writes besides models: controlnet-sd1, …, t2i-adapter-sd1, …, depth-estimator, classifier. Each fits
/// the models of its family and size, a classifier all of them.
std::vector<std::string> part_names();

/// name: of part_names(); size: full, tiny. Throws ErrorKind::usage for others.
PartRecipe part_recipe(std::string_view name, std::string_view size);

}  // namespace sdtorch
