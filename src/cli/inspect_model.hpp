// What `sdtorch inspect` says of model folders and weights files.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace sdtorch {

/// One report as a table for people and as an object for programs.
struct ModelReport {
  std::string text{};
  nlohmann::ordered_json object{};
};

/// A diffusers folder, or `org/name`: `{"path", "kind": "model", "layout": "folder", "family", "task", "prediction",
/// "findings": [{"what", "value", "why"}], "components": {NAME: {"class", "parameters", "bytes", "types"}}}`.
/// The folder of one component: `"kind": "component"`, its `description`, and, where it steers a model or estimates
/// depth, `findings`.
/// Throws ErrorKind::model for a folder that is no model.
ModelReport report_folder(const std::filesystem::path& path);

/// A weights file, the same and: `"layout": "single file"`, `"format"`, each component's `"keys"` (its prefix in the
/// file), `"left"` (known tensors that are not used, by kind), `"ema"` (how many of these are moving averages),
/// `"unused"` (keys that are not known), `"metadata"`. `kind` is `model`, `part` where it holds less than one, or
/// `weights` for a LoRA, a ControlNet, a component and the like, which `description` then names.
/// Throws ErrorKind::model naming a file that is none for what it is.
ModelReport report_weights_file(const std::filesystem::path& path);

}  // namespace sdtorch
