// A model in two stages: what its configs say (cheap, checked first), and its networks with their weights.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "sdtorch/diffusion/sampler.hpp"
#include "sdtorch/networks/clip_text.hpp"
#include "sdtorch/networks/config.hpp"
#include "sdtorch/networks/unet.hpp"
#include "sdtorch/networks/vae.hpp"
#include "sdtorch/pipeline/request.hpp"
#include "sdtorch/text/clip_tokenizer.hpp"
#include "sdtorch/weights/model_source.hpp"

namespace sdtorch {

/// Everything about a model but its weights: read in milliseconds, enough to check a request against.
struct ModelDescription {
  std::string name;                           ///< the folder's or file's name
  std::shared_ptr<const ModelSource> source;  ///< where the weights come from
  std::filesystem::path vae_weights;          ///< `--vae`: a folder or file; empty: the model's own
  std::string scheduler_file;                 ///< for messages
  nlohmann::json scheduler;                   ///< scheduler_config.json, with the class that the model's index names
  ClipTokenizer tokenizer;
  ClipTextConfig text_encoder;
  UNetConfig unet;
  VaeConfig vae;
};

/// Reads and checks the configs and the tokenizer, each by itself and against one another.
/// model: a folder or file, empty for the built-in model; vae: a folder or file, empty for the model's own;
/// prediction: a name of find_prediction, empty for the model's own.
/// Throws ErrorKind::model naming file and key.
ModelDescription describe_model(const std::string& model, const std::string& vae, const std::string& prediction = {});

/// A request with what the model decides filled in.
struct ResolvedRequest {
  Request request{};  ///< width, height and sampler set
  SamplingPlan plan{};
  int64_t latent_width = 0, latent_height = 0;
};

/// Checks a request against the model and fills in the model's own size.
/// Throws ErrorKind::usage naming the flag.
ResolvedRequest resolve(const ModelDescription& model, const Request& request);

/// The networks, with weights, on the device and in the type that they compute in.
struct Components {
  ModelDescription description{};
  std::shared_ptr<ClipTextModel> text_encoder{};
  std::shared_ptr<UNet2DConditionModel> unet{};
  std::shared_ptr<AutoencoderKL> vae{};
  at::Device device = at::kCPU;
  at::ScalarType dtype = at::kFloat;
  at::ScalarType vae_dtype = at::kFloat;  ///< fp32 where the config says force_upcast and dtype is fp16
};

/// Loads all weights. Throws ErrorKind::model with every missing, unexpected and misshapen key.
Components load_components(ModelDescription description, at::Device device, at::ScalarType dtype);

/// Loads the VAE again in fp32, from its files. For pictures that overflowed.
void reload_vae_in_fp32(Components& components);

}  // namespace sdtorch
