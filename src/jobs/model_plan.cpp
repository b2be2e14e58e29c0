#include "jobs/model_plan.hpp"

#include <algorithm>
#include <utility>

#include "core/error.hpp"
#include "core/paths.hpp"
#include "core/suggest.hpp"
#include "diffusion/scheduler_config.hpp"
#include "networks/clip_text.hpp"
#include "networks/depth.hpp"
#include "networks/unet.hpp"
#include "networks/vae.hpp"
#include "networks/xlm_roberta.hpp"
#include "pipeline/model_description.hpp"
#include "weights/bind.hpp"
#include "weights/component_files.hpp"
#include "weights/key_names.hpp"
#include "weights/model_family.hpp"
#include "weights/model_folder.hpp"
#include "weights/single_file.hpp"
#include "weights/stored_component.hpp"
#include "weights/vae_file.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

template <class Network, class Config>
void check_fit(const Config& config, const StateDict& weights, const std::string& name) {
  Network network(config);  // its parameters are not filled, and so take no memory
  check_weights(network, weights, name);
}

class Planner {
 public:
  Planner(const ModelInput& input, std::optional<at::ScalarType> type) : input_(input), type_(type) {}

  ModelPlan plan() {
    const ModelDescription model = describe_model(input_.model.string(), input_.vae.string(), input_.prediction);
    plan_.source = model.source;
    plan_.name = model.name;
    plan_.family = family_of(*model.source);
    plan_.index = model.source->index();
    plan_.scheduler = model.scheduler;
    for (const TextEncoderDescription& text : model.text_encoders) add_text_encoder(text);
    StateDict unet = model.source->weights("unet");
    check_fit<UNet2DConditionModel>(model.unet, unet, "unet");
    add("unet", model.source->config("unet"), std::move(unet));
    add_vae(model);
    if (model.source->has("depth_estimator")) add_depth_estimator(*model.depth_estimator);
    return std::move(plan_);
  }

 private:
  void add(const std::string& name, json config, StateDict weights) {
    const auto stored = std::make_shared<const StateDict>(std::move(weights));
    plan_.weights[name] = stored;
    plan_.components.push_back(stored_component(name, std::move(config), stored, type_));
  }

  void add_text_encoder(const TextEncoderDescription& text) {
    StateDict weights = plan_.source->weights(text.name);
    if (const auto* roberta = std::get_if<XlmRobertaConfig>(&text.config)) {
      check_fit<XlmRobertaTextModel>(*roberta, weights, text.name);
    } else {
      check_fit<ClipTextModel>(std::get<ClipTextConfig>(text.config), weights, text.name);
    }
    add(text.name, plan_.source->config(text.name), std::move(weights));
    if (const auto* file = dynamic_cast<const SingleFile*>(plan_.source.get())) {
      const auto& kept = file->recognition().kept;
      if (kept && kept->prefixed.contains(text.name)) plan_.prefixed.insert(text.name);
    } else if (has_text_model_prefix(plan_.source->path() / text.name)) {
      plan_.prefixed.insert(text.name);
    }
  }

  void add_vae(const ModelDescription& model) {
    const fs::path& other = model.vae_weights;
    StateDict weights = other.empty()      ? model.source->weights("vae")
                        : is_folder(other) ? load_component(other)
                                           : load_vae_file(other);
    VaeConfig config = model.vae;
    config.encoder = keeps_vae_encoder(weights);
    check_fit<AutoencoderKL>(config, weights, "vae");
    add("vae", vae_config(model), std::move(weights));
  }

  static json vae_config(const ModelDescription& model) {
    const fs::path& other = model.vae_weights;
    if (other.empty()) return model.source->config("vae");
    if (is_folder(other)) return load_config(other / "config.json");
    return vae_file_config(other, model.source->config("vae")).config;
  }

  void add_depth_estimator(const DepthEstimatorDescription& depth) {
    StateDict weights = plan_.source->weights("depth_estimator");
    check_fit<DepthEstimator>(depth.config, weights, "depth_estimator");
    add("depth_estimator", plan_.source->config("depth_estimator"), std::move(weights));
    plan_.preparation = is_folder(plan_.source->path()) ? load_config(depth.preparation_file)
                                                        : plan_.source->config("feature_extractor");
  }

  const ModelInput& input_;
  std::optional<at::ScalarType> type_;
  ModelPlan plan_{};
};

}  // namespace

const ComponentPlan& ModelPlan::component(std::string_view wanted) const {
  const auto found = std::ranges::find(components, wanted, &ComponentPlan::name);
  if (found == components.end()) throw Error(ErrorKind::bug, {.place = std::string(wanted), .reason = "not planned"});
  return *found;
}

ModelPlan plan_model(const ModelInput& input, std::optional<at::ScalarType> type) {
  if (!input.prediction.empty() && !find_prediction(input.prediction)) {
    check_choice("--prediction", input.prediction, {"epsilon", "v", "x0"});
  }
  return Planner(input, type).plan();
}

}  // namespace sdtorch
