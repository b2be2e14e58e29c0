#include "sdtorch/pipeline/components.hpp"

#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <cstdio>

#include "sdtorch/core/error.hpp"
#include "sdtorch/core/paths.hpp"
#include "sdtorch/diffusion/scheduler_config.hpp"
#include "sdtorch/weights/model_folder.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

constexpr const char* text_encoder_name = "text_encoder";
constexpr const char* unet_name = "unet";
constexpr const char* vae_name = "vae";

/// Where `--vae` points: a VAE's own folder, a whole model's folder, or a weights file for the model's own config.
struct VaeSource {
  fs::path config;   ///< empty: the model's own
  fs::path weights;  ///< a folder or a file
};

VaeSource find_vae(const fs::path& path) {
  if (!fs::exists(path)) {
    throw Error(ErrorKind::model, {.file = path.string(), .reason = "no such file or folder"});
  }
  if (!fs::is_directory(path)) return {.config = {}, .weights = path};
  const fs::path folder = fs::exists(path / vae_name / "config.json") ? path / vae_name : path;
  return {.config = folder / "config.json", .weights = folder};
}

[[noreturn]] void refuse(const std::string& file, const std::string& key, const std::string& reason,
                         const std::string& hint = {}) {
  throw Error(ErrorKind::model, {.file = file, .place = key, .reason = reason, .hint = hint});
}

/// The first SD1 folders, written by diffusers before 0.9, say 32 (256 pixels) for models made for 64. diffusers'
/// StableDiffusionPipeline puts that right by the version that wrote the file.
bool has_wrong_sample_size(const nlohmann::json& unet) {
  const auto version = unet.find("_diffusers_version"), size = unet.find("sample_size");
  if (version == unet.end() || !version->is_string()) return false;
  if (size == unet.end() || !size->is_number_integer()) return false;
  int major = 0, minor = 0;
  if (std::sscanf(version->get_ref<const std::string&>().c_str(), "%d.%d", &major, &minor) != 2) return false;
  return major == 0 && minor < 9 && size->get<int64_t>() < 64;
}

/// What no config can see alone: whether the parts fit one another.
void check_parts_fit(const ModelDescription& model) {
  const std::string unet_file = model.source->config_place(unet_name);
  const std::string text_file = model.source->config_place(text_encoder_name);
  if (model.unet.cross_attention_dim != model.text_encoder.hidden_size) {
    refuse(unet_file, "cross_attention_dim",
           fmt::format("{}, but the text encoder's hidden_size is {}", model.unet.cross_attention_dim,
                       model.text_encoder.hidden_size));
  }
  if (model.unet.in_channels != model.vae.latent_channels) {
    refuse(unet_file, "in_channels",
           fmt::format("{}, but the VAE's latents have {} channels", model.unet.in_channels, model.vae.latent_channels),
           "inpainting, depth and InstructPix2Pix models are not text-to-image models");
  }
  if (model.unet.out_channels != model.vae.latent_channels) {
    refuse(
        unet_file, "out_channels",
        fmt::format("{}, but the VAE's latents have {} channels", model.unet.out_channels, model.vae.latent_channels));
  }
  if (model.tokenizer.vocab_size() > model.text_encoder.vocab_size) {
    refuse(text_file, "vocab_size",
           fmt::format("{}, but the tokenizer has {} tokens", model.text_encoder.vocab_size,
                       model.tokenizer.vocab_size()));
  }
  if (model.tokenizer.model_max_length() > model.text_encoder.max_position_embeddings) {
    refuse(text_file, "max_position_embeddings",
           fmt::format("{}, but the tokenizer makes chunks of {} tokens", model.text_encoder.max_position_embeddings,
                       model.tokenizer.model_max_length()));
  }
}

template <typename Network, typename Config>
std::shared_ptr<Network> load_network(const Config& config, StateDict weights, at::ScalarType dtype, at::Device device,
                                      const char* name) {
  auto network = std::make_shared<Network>(config);
  bind_weights(*network, std::move(weights), dtype, device, name);
  network->eval();
  return network;
}

std::shared_ptr<AutoencoderKL> load_vae(const ModelDescription& model, at::ScalarType dtype, at::Device device) {
  StateDict weights = model.vae_weights.empty() ? model.source->weights(vae_name) : load_component(model.vae_weights);
  return load_network<AutoencoderKL>(model.vae, std::move(weights), dtype, device, vae_name);
}

int64_t latent_size(const char* flag, int64_t pixels, int64_t factor) {
  if (pixels % factor == 0) return pixels / factor;
  const int64_t below = pixels / factor * factor;
  throw Error(ErrorKind::usage,
              {.file = flag,
               .reason = fmt::format("{} is not a multiple of {}", pixels, factor),
               .hint = below > 0 ? fmt::format("use {} or {}", below, below + factor) : fmt::format("use {}", factor)});
}

}  // namespace

ModelDescription describe_model(const std::string& model, const std::string& vae, const std::string& prediction) {
  std::string canonical;
  if (!prediction.empty()) canonical = to_string(find_prediction(prediction).value());
  ModelDescription description;
  description.source = open_model(model.empty() ? share_folder() / "models" / "demo" : fs::path(model), canonical);
  const ModelSource& source = *description.source;
  const fs::path& path = source.path();
  description.name = (path.has_filename() ? path : path.parent_path()).filename().string();
  description.scheduler_file = source.config_place("scheduler");
  description.scheduler = source.scheduler();
  if (!canonical.empty()) description.scheduler["prediction_type"] = canonical;
  const TokenizerPlace tokenizer = source.tokenizer("tokenizer");
  description.tokenizer = ClipTokenizer::load(tokenizer.folder, {.pad_token = tokenizer.pad_token});
  description.text_encoder =
      ClipTextConfig::from_json(source.config(text_encoder_name), source.config_place(text_encoder_name));
  const nlohmann::json unet = source.config(unet_name);
  description.unet = UNetConfig::from_json(unet, source.config_place(unet_name));
  if (has_wrong_sample_size(unet)) description.unet.sample_size = 64;

  const VaeSource replaced = vae.empty() ? VaeSource{} : find_vae(vae);
  description.vae_weights = replaced.weights;
  description.vae = replaced.config.empty()
                        ? VaeConfig::from_json(source.config(vae_name), source.config_place(vae_name))
                        : VaeConfig::from_json(load_config(replaced.config), replaced.config.string());
  check_parts_fit(description);
  return description;
}

ResolvedRequest resolve(const ModelDescription& model, const Request& request) {
  request.validate();
  ResolvedRequest resolved{.request = request};
  Request& filled = resolved.request;
  const int64_t factor = model.vae.factor();
  filled.width = request.width.value_or(model.unet.sample_size * factor);
  filled.height = request.height.value_or(model.unet.sample_size * factor);
  resolved.latent_width = latent_size("--width", *filled.width, factor);
  resolved.latent_height = latent_size("--height", *filled.height, factor);
  resolved.plan = plan_sampling(
      model.scheduler, model.scheduler_file,
      {.sampler = request.sampler, .scheduler = request.scheduler, .spacing = request.spacing, .eta = request.eta},
      request.steps);
  return resolved;
}

Components load_components(ModelDescription description, at::Device device, at::ScalarType dtype) {
  Components components{.description = std::move(description), .device = device, .dtype = dtype, .vae_dtype = dtype};
  const ModelDescription& model = components.description;
  if (dtype == at::kHalf && model.vae.force_upcast) components.vae_dtype = at::kFloat;
  components.text_encoder = load_network<ClipTextModel>(model.text_encoder, model.source->weights(text_encoder_name),
                                                        dtype, device, text_encoder_name);
  components.unet =
      load_network<UNet2DConditionModel>(model.unet, model.source->weights(unet_name), dtype, device, unet_name);
  components.vae = load_vae(model, components.vae_dtype, device);
  return components;
}

void reload_vae_in_fp32(Components& components) {
  const c10::InferenceMode off(false);  // parameters made inside it could not be viewed outside
  components.vae_dtype = at::kFloat;
  components.vae = load_vae(components.description, at::kFloat, components.device);
}

}  // namespace sdtorch
