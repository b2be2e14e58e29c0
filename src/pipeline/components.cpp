#include "pipeline/components.hpp"

#include <c10/core/InferenceMode.h>

#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "networks/quantized_layers.hpp"
#include "pipeline/memory_need.hpp"
#include "weights/bind.hpp"

namespace sdtorch {
namespace {

constexpr const char* unet_part = "unet";

template <typename Network, typename Config>
std::shared_ptr<Network> load_network(const Config& config, StateDict weights, at::ScalarType dtype, at::Device device,
                                      const std::string& name) {
  auto network = std::make_shared<Network>(config);
  bind_weights(*network, std::move(weights), dtype, device, name);
  network->eval();
  return network;
}

}  // namespace

struct Components::Spare {
  std::mutex mutex{};
  std::shared_ptr<const Autoencoder> encoder{};
  std::shared_ptr<const Autoencoder> decoder_in_fp32{}, encoder_in_fp32{};
};

Components load_components(ModelDescription description, at::Device device, at::ScalarType dtype,
                           Quantization quantization) {
  Components components{.description = std::move(description), .device = device, .dtype = dtype};
  components.spare = std::make_shared<Components::Spare>();
  const ModelDescription& model = components.description;
  std::map<std::string, StateDict> files;  // mapped, and not read yet
  for (const TextEncoderDescription& text : model.text_encoders) files[text.name] = model.source->weights(text.name);
  files[unet_part] = model.source->weights(unet_part);
  require_memory(model, files, {.dtype = dtype, .device = device}, quantization);
  for (const TextEncoderDescription& text : model.text_encoders) {
    StateDict weights = std::move(files[text.name]);
    if (const auto* roberta = std::get_if<XlmRobertaConfig>(&text.config)) {
      components.text_encoders.emplace_back(
          load_network<XlmRobertaTextModel>(*roberta, std::move(weights), dtype, device, text.name));
    } else {
      components.text_encoders.emplace_back(load_network<ClipTextModel>(std::get<ClipTextConfig>(text.config),
                                                                        std::move(weights), dtype, device, text.name));
    }
  }
  components.unet = std::make_shared<UNet2DConditionModel>(model.unet);
  quantize(*components.unet, quantization);
  bind_weights(*components.unet, std::move(files[unet_part]), dtype, device, unet_part);
  components.unet->eval();
  components.vae = load_decoder(model, dtype, device);
  components.vae_dtype = components.vae->dtype();
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

std::shared_ptr<const Autoencoder> Components::once(std::shared_ptr<const Autoencoder> Spare::*kept,
                                                    LoadAutoencoder load, at::ScalarType type) const {
  const std::lock_guard lock(spare->mutex);
  const c10::InferenceMode off(false);  // parameters made inside it could not be viewed outside
  std::shared_ptr<const Autoencoder>& one = (*spare).*kept;
  if (!one) one = load(description, type, device);
  return one;
}

std::shared_ptr<const Autoencoder> Components::vae_in_fp32() const {
  return once(&Spare::decoder_in_fp32, load_decoder, at::kFloat);
}

std::shared_ptr<const Autoencoder> Components::encoder() const {
  return vae->encodes() ? vae : once(&Spare::encoder, load_encoder, dtype);
}

std::shared_ptr<const Autoencoder> Components::encoder_in_fp32() const {
  return vae->encodes() ? vae_in_fp32() : once(&Spare::encoder_in_fp32, load_encoder, at::kFloat);
}

}  // namespace sdtorch
