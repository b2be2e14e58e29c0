// A tiny autoencoder in the VAE's place, before its weights are loaded.
#pragma once

#include <filesystem>
#include <string>

#include "core/read_options.hpp"
#include "networks/vae_tiny.hpp"

namespace sdtorch {

struct ModelDescription;

struct TinyVaeDescription {
  std::filesystem::path path{};  ///< a folder or a file
  TinyVaeConfig config{};
};

/// path: what `--taesd` names. Warns where its name is one for another family.
/// Throws ErrorKind::usage where nothing is there, ErrorKind::model naming the file where it is no tiny autoencoder or
/// its latents are not the model's.
TinyVaeDescription describe_tiny_vae(const std::string& path, const ModelDescription& model);

}  // namespace sdtorch
