// A VAE in a file of its own, or in a whole model's: under diffusers' names or the original latent-diffusion code's.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "weights/state_dict.hpp"

namespace sdtorch {

/// A config.json's content, and where it stands, for messages.
struct VaeFileConfig {
  nlohmann::json config{};
  std::string place{};
};

/// Its config: sizes as the file's shapes tell them; the rest by the config.json beside the file where that is a VAE's,
/// else by `config`, the model's own. In a whole model's file the scale is that of the model's family.
/// Throws ErrorKind::model naming the file, and what it is where it is no VAE.
VaeFileConfig vae_file_config(const std::filesystem::path& file, const nlohmann::json& config);

/// Its weights, under diffusers' names.
StateDict load_vae_file(const std::filesystem::path& file);

/// Throws ErrorKind::model where the config names another class than AutoencoderKL, and which flag takes it, if any.
void check_vae_class(const nlohmann::json& config, const std::string& place);

/// Where a VAE or a tiny one is: the path, or the folder or file of a model in the Hugging Face cache.
/// Throws ErrorKind::usage naming the flag for one that is not there, with what lies beside.
std::filesystem::path find_vae(const std::string& flag, const std::filesystem::path& path);

}  // namespace sdtorch
