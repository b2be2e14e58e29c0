// What a folder says and a single file has no place for: kept in the file's metadata by whoever converts.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

namespace sdtorch {

/// The configs of a model that was converted into one file. Whoever reads the file takes them before anything that
/// names and shapes would tell; tools that do not know them are not disturbed.
struct KeptModel {
  nlohmann::json index{};                           ///< model_index.json
  nlohmann::json scheduler{};                       ///< scheduler_config.json, with its class
  std::map<std::string, nlohmann::json> configs{};  ///< config.json (preprocessor_config.json) by component
  std::set<std::string> tokenizers{};               ///< that lie beside the file (tokenizer_beside), by component
  std::set<std::string> prefixed{};                 ///< text encoders whose keys begin with `text_model.` in folders
};

/// Adds the model to a file's metadata: as JSON under `sdtorch.model`, and what other tools ask for
/// (`modelspec.prediction_type`).
void keep_model(const KeptModel& model, std::map<std::string, std::string>& metadata);

/// The model that a file's metadata keeps; nothing where it keeps none. file: for messages.
/// Throws ErrorKind::model naming file and key where it cannot be read.
std::optional<KeptModel> kept_model(const std::map<std::string, std::string>& metadata, const std::string& file);

}  // namespace sdtorch
