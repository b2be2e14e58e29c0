// A whole model, read and checked, on its way into other files.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "weights/component_plan.hpp"
#include "weights/families.hpp"
#include "weights/model_source.hpp"

namespace sdtorch {

/// Where a model comes from, in the user's words.
struct ModelInput {
  std::filesystem::path model{};  ///< whatever find_model knows; empty: the built-in model
  std::filesystem::path vae{};    ///< a folder or file in place of the model's own; empty: its own
  std::string prediction{};       ///< a name of find_prediction; empty: the model's own
};

struct ModelPlan {
  std::shared_ptr<const ModelSource> source{};
  std::string name{};  ///< the folder's or file's, for messages
  Family family = Family::sd1;
  nlohmann::json index{}, scheduler{};
  nlohmann::json preparation{};             ///< preprocessor_config.json of a model for depth; else null
  std::vector<ComponentPlan> components{};  ///< text encoders, U-Net, VAE, depth estimator; their tensors as stored
  std::map<std::string, std::shared_ptr<const StateDict>> weights{};  ///< by component, what these are made of
  std::set<std::string> prefixed{};  ///< text encoders whose files spell their keys `text_model.`

  const ComponentPlan& component(std::string_view name) const;
};

/// Opens the model and holds its weights against its configs, as for drawing: what cannot be drawn with is not written.
/// type: of all weights that are numbers with a point; nothing: each one's own. Nothing is computed, and nothing but
/// headers and configs is read, yet. Throws ErrorKind::model naming file and key.
ModelPlan plan_model(const ModelInput& input, std::optional<at::ScalarType> type);

}  // namespace sdtorch
