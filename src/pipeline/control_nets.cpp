#include "pipeline/control_nets.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.hpp"
#include "core/paths.hpp"
#include "pipeline/model_description.hpp"
#include "weights/bind.hpp"
#include "weights/control_file.hpp"
#include "weights/model_folder.hpp"
#include "weights/model_path.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

constexpr const char* steered = "unet";

/// A single file's config is told by its tensors, and by what they are to steer.
ControlFile read_file(const fs::path& file, const ModelDescription& model) {
  return load_control_file(file, model.source->config(steered));
}

/// Which of the two a folder's config describes.
ControlKind kind_of(const nlohmann::json& config, const std::string& place) {
  constexpr const char* class_key = "_class_name";
  const std::string name = config.contains(class_key) && config[class_key].is_string() ? config[class_key] : "";
  if (name == "ControlNetModel") return ControlKind::controlnet;
  if (name == "T2IAdapter") return ControlKind::t2i_adapter;
  fail(ErrorKind::model, place, class_key,
       name.empty() ? "ControlNetModel or T2IAdapter was expected"
                    : fmt::format("{}, where ControlNetModel or T2IAdapter was expected", name));
}

/// Reads a config and holds it against the model.
template <typename Config>
Config fitting(const nlohmann::json& config, const ModelDescription& model, const std::string& place) {
  Config read = Config::from_json(config, place, model.read_options);
  require_fit(read, model.unet, model.vae.factor(), place);
  return read;
}

template <typename Network, typename Config>
std::shared_ptr<const Network> bound(const Config& config, StateDict weights, at::ScalarType dtype, at::Device device,
                                     const std::string& name) {
  auto network = std::make_shared<Network>(config);
  bind_weights(*network, std::move(weights), dtype, device, name);
  network->eval();
  return network;
}

}  // namespace

int64_t ControlDescription::picture_channels() const {
  const auto* net = std::get_if<ControlNetConfig>(&config);
  return net ? net->conditioning_channels : std::get<T2IAdapterConfig>(config).in_channels;
}

int64_t ControlDescription::multiple() const {
  const auto* net = std::get_if<ControlNetConfig>(&config);
  return net ? net->factor() : std::get<T2IAdapterConfig>(config).downscale_factor;
}

ControlDescription describe_control(const std::string& path, const ModelDescription& model) {
  ControlDescription control{.path = find_model(path)};
  const bool folder = is_folder(control.path);
  const std::string place = folder ? (control.path / "config.json").string() : control.path.string();
  ControlKind kind{};
  nlohmann::json config;
  if (folder) {
    config = load_config(place);
    kind = kind_of(config, place);
  } else {
    ControlFile file = read_file(control.path, model);
    kind = file.kind;
    config = std::move(file.config);
  }
  if (kind == ControlKind::controlnet) {
    control.config = fitting<ControlNetConfig>(config, model, place);
  } else {
    control.config = fitting<T2IAdapterConfig>(config, model, place);
  }
  if (const int64_t channels = control.picture_channels(); channels != 1 && channels != 3) {
    fail(ErrorKind::model, place, kind == ControlKind::controlnet ? "conditioning_channels" : "in_channels",
         fmt::format("{}, but a picture has 3, or 1 where it is grey", channels));
  }
  return control;
}

ControlNetwork load_control(const ControlDescription& control, const ModelDescription& model, at::ScalarType dtype,
                            at::Device device) {
  StateDict weights = is_folder(control.path) ? load_component(control.path) : read_file(control.path, model).weights;
  const std::string name = control.path.string();
  if (const auto* net = std::get_if<ControlNetConfig>(&control.config)) {
    return bound<ControlNet>(*net, std::move(weights), dtype, device, name);
  }
  return bound<T2IAdapter>(std::get<T2IAdapterConfig>(control.config), std::move(weights), dtype, device, name);
}

}  // namespace sdtorch
