#include "pipeline/autoencoder.hpp"

#include <filesystem>
#include <utility>

#include "core/error.hpp"
#include "weights/bind.hpp"
#include "weights/component_files.hpp"
#include "weights/key_names.hpp"
#include "weights/taesd_file.hpp"
#include "weights/vae_file.hpp"

namespace sdtorch {
namespace {

constexpr const char* vae_name = "vae";

template <typename Network, typename Config>
std::shared_ptr<Network> load(const Config& config, StateDict weights, at::ScalarType dtype, at::Device device) {
  auto network = std::make_shared<Network>(config);
  bind_weights(*network, std::move(weights), dtype, device, vae_name);
  network->eval();
  return network;
}

/// A decoder alone may come without the convolution before it, which is then the model's own.
void complete(StateDict& weights, const VaeConfig& config, const ModelDescription& model) {
  if (config.encoder || !config.use_post_quant_conv || weights.contains("post_quant_conv.weight")) return;
  if (!model.source->has(vae_name)) return;
  for (auto& [key, weight] : model.source->weights(vae_name)) {
    if (key.starts_with("post_quant_conv.")) weights.emplace(key, weight);
  }
}

std::shared_ptr<const Autoencoder> load_vae(const ModelDescription& model, VaeConfig config, StateDict weights,
                                            at::ScalarType dtype, at::Device device) {
  config.encoder = keeps_vae_encoder(weights);
  complete(weights, config, model);
  // Of diffusers' pipelines SDXL's alone decode in another type.
  const bool overflows = config.force_upcast.value_or(model.xl.has_value());
  const at::ScalarType type = dtype == at::kHalf && overflows ? at::kFloat : dtype;
  return std::make_shared<const Autoencoder>(load<AutoencoderKL>(config, std::move(weights), type, device), type);
}

std::shared_ptr<const Autoencoder> load_own_vae(const ModelDescription& model, at::ScalarType dtype,
                                                at::Device device) {
  const VaeConfig config =
      VaeConfig::from_json(model.source->config(vae_name), model.source->config_place(vae_name), model.read_options);
  return load_vae(model, config, model.source->weights(vae_name), dtype, device);
}

std::shared_ptr<const Autoencoder> load_chosen_vae(const ModelDescription& model, at::ScalarType dtype,
                                                   at::Device device) {
  const std::filesystem::path& other = model.vae_weights;
  StateDict weights = other.empty()                          ? model.source->weights(vae_name)
                      : std::filesystem::is_directory(other) ? load_component(other)
                                                             : load_vae_file(other);
  return load_vae(model, model.vae, std::move(weights), dtype, device);
}

std::shared_ptr<const Autoencoder> load_tiny(const TinyVaeDescription& tiny, at::ScalarType dtype, at::Device device) {
  StateDict weights = read_taesd(tiny.path, /*verify=*/true).weights;
  return std::make_shared<const Autoencoder>(load<AutoencoderTiny>(tiny.config, std::move(weights), dtype, device),
                                             tiny.config, dtype);
}

}  // namespace

Autoencoder::Autoencoder(std::shared_ptr<AutoencoderKL> network, at::ScalarType dtype)
    : network_(std::move(network)),
      scale_(network_->config().scaling_factor),
      encodes_(network_->config().encoder),
      dtype_(dtype) {}

Autoencoder::Autoencoder(std::shared_ptr<AutoencoderTiny> network, const TinyVaeConfig& config, at::ScalarType dtype)
    : tiny_(std::move(network)), scale_(config.scaling_factor), encodes_(config.encoder), dtype_(dtype) {}

at::Tensor Autoencoder::decode(const at::Tensor& latent, const std::optional<TileSize>& tiles) const {
  const at::Tensor unscaled = (latent / scale_).to(dtype_);
  return (tiny_ ? tiny_->decode(unscaled, tiles) : network_->decode(unscaled, tiles)).to(at::kFloat);
}

LatentDistribution Autoencoder::encode(const at::Tensor& picture, const std::optional<TileSize>& tiles) const {
  const at::Tensor typed = picture.to(dtype_);
  if (tiny_) return {.mean = tiny_->encode(typed, tiles).to(at::kFloat), .logvar = {}};
  const LatentDistribution said = network_->encode(typed, tiles);
  return {.mean = said.mean.to(at::kFloat), .logvar = said.logvar.to(at::kFloat)};
}

std::shared_ptr<const Autoencoder> load_decoder(const ModelDescription& model, at::ScalarType dtype,
                                                at::Device device) {
  return model.tiny_vae ? load_tiny(*model.tiny_vae, dtype, device) : load_chosen_vae(model, dtype, device);
}

std::shared_ptr<const Autoencoder> load_encoder(const ModelDescription& model, at::ScalarType dtype,
                                                at::Device device) {
  if (model.tiny_vae && model.tiny_vae->config.encoder) return load_tiny(*model.tiny_vae, dtype, device);
  if (model.vae_weights.empty()) return load_own_vae(model, dtype, device);
  auto chosen = load_chosen_vae(model, dtype, device);
  return chosen->encodes() ? chosen : load_own_vae(model, dtype, device);
}

}  // namespace sdtorch
