// A model as a diffusers folder: which files it has, which of them to read.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "core/read_options.hpp"
#include "weights/component_files.hpp"
#include "weights/model_source.hpp"
#include "weights/state_dict.hpp"

namespace sdtorch {

/// A folder with model_index.json. Opening it reads only that file.
class ModelFolder : public ModelSource {
 public:
  /// The folder, by whatever name find_model knows it.
  /// Throws ErrorKind::model where the folder, its index or a component that a text-to-image pipeline
  /// needs is missing or of a class that is not supported, naming it, or the index names another component (see
  /// ReadOptions). A setting of the pipeline that nobody knows is a warning, as in diffusers.
  explicit ModelFolder(const std::filesystem::path& folder_or_name, const ReadOptions& options = {});

  const std::filesystem::path& root() const { return root_; }
  const std::filesystem::path& path() const override { return root_; }
  const nlohmann::json& index() const override { return index_; }
  bool has(const std::string& component) const override;
  std::string config_place(const std::string& component) const override;
  nlohmann::json config(const std::string& component) const override;
  nlohmann::json scheduler() const override;
  StateDict weights(const std::string& component) const override;
  TokenizerPlace tokenizer(const std::string& component) const override;

  /// root/name
  std::filesystem::path component(const std::string& name) const { return root_ / name; }

  /// The class that the index gives the scheduler, such as PNDMScheduler: what diffusers loads, whatever class wrote
  /// scheduler_config.json.
  std::string scheduler_class() const { return index_.at("scheduler").at(1).get<std::string>(); }

 private:
  std::filesystem::path root_;
  nlohmann::json index_;
};

/// A component's config.json (or scheduler_config.json), a JSON object. Throws ErrorKind::model.
nlohmann::json load_config(const std::filesystem::path& file);

}  // namespace sdtorch
