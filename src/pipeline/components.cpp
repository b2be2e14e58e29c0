#include "pipeline/components.hpp"

#include <c10/core/InferenceMode.h>

#include <filesystem>
#include <mutex>
#include <string>

#include "networks/int8_layers.hpp"
#include "weights/bind.hpp"
#include "weights/component_files.hpp"
#include "weights/key_names.hpp"
#include "weights/single_file.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

template <typename Network, typename Config>
std::shared_ptr<Network> load_network(const Config& config, StateDict weights, at::ScalarType dtype, at::Device device,
                                      const std::string& name) {
  auto network = std::make_shared<Network>(config);
  bind_weights(*network, std::move(weights), dtype, device, name);
  network->eval();
  return network;
}

std::shared_ptr<AutoencoderKL> load_vae(const ModelDescription& model, at::ScalarType dtype, at::Device device) {
  const fs::path& other = model.vae_weights;
  StateDict weights = other.empty()             ? model.source->weights("vae")
                      : fs::is_directory(other) ? load_component(other)
                                                : load_vae_file(other);
  VaeConfig config = model.vae;
  config.encoder = keeps_vae_encoder(weights);
  return load_network<AutoencoderKL>(config, std::move(weights), dtype, device, "vae");
}

}  // namespace

struct Components::Spare {
  std::mutex mutex{};
  std::shared_ptr<AutoencoderKL> vae{};
};

Components load_components(ModelDescription description, at::Device device, at::ScalarType dtype, bool in_int8) {
  Components components{.description = std::move(description), .device = device, .dtype = dtype, .vae_dtype = dtype};
  components.spare = std::make_shared<Components::Spare>();
  const ModelDescription& model = components.description;
  // Of diffusers' pipelines SDXL's alone decode in another type.
  if (dtype == at::kHalf && model.vae.force_upcast.value_or(model.xl.has_value())) components.vae_dtype = at::kFloat;
  for (const TextEncoderDescription& text : model.text_encoders) {
    StateDict weights = model.source->weights(text.name);
    if (const auto* roberta = std::get_if<XlmRobertaConfig>(&text.config)) {
      components.text_encoders.emplace_back(
          load_network<XlmRobertaTextModel>(*roberta, std::move(weights), dtype, device, text.name));
    } else {
      components.text_encoders.emplace_back(load_network<ClipTextModel>(std::get<ClipTextConfig>(text.config),
                                                                        std::move(weights), dtype, device, text.name));
    }
  }
  components.unet = std::make_shared<UNet2DConditionModel>(model.unet);
  if (in_int8) compute_in_int8(*components.unet);
  bind_weights(*components.unet, model.source->weights("unet"), dtype, device, "unet");
  components.unet->eval();
  components.vae = load_vae(model, components.vae_dtype, device);
  if (model.classifier) components.classifier = load_classifier(*model.classifier, device);
  for (const ControlDescription& control : model.controls) {
    components.controls.push_back(load_control(control, model, dtype, device));
  }
  if (!model.ip_adapters.adapters.empty()) {
    components.ip_adapters = std::make_shared<const IpAdapters>(model, dtype, device);
  }
  if (model.depth_estimator && (model.task == Task::depth || !model.controls.empty())) {
    components.depth_estimator = load_depth_estimator(*model.depth_estimator, device);
  }
  return components;
}

std::shared_ptr<AutoencoderKL> Components::vae_in_fp32() const {
  const std::lock_guard lock(spare->mutex);
  const c10::InferenceMode off(false);  // parameters made inside it could not be viewed outside
  if (!spare->vae) spare->vae = load_vae(description, at::kFloat, device);
  return spare->vae;
}

}  // namespace sdtorch
