// The weights of one component of a model: which files they are in, and their tensors.
#pragma once

#include <filesystem>

#include "weights/state_dict.hpp"

namespace sdtorch {

/// A component's weights with the networks' own keys: a file in diffusers' layout, or a folder of diffusers' or
/// transformers' (`diffusion_pytorch_model`, `model` or `pytorch_model`, as `.safetensors` or `.bin`, whole or in
/// shards with an index). Full precision goes before the `fp16` variant, `.safetensors` before `.bin`. Maps the files.
/// Old spellings of keys are renamed to the networks' own (VAE attention, `text_model.`).
/// Throws ErrorKind::model saying what was looked for.
StateDict load_component(const std::filesystem::path& folder_or_file);

/// Whether a text encoder's files spell its keys `text_model.…`, as transformers before 5 does. Throws as above.
bool has_text_model_prefix(const std::filesystem::path& folder);

}  // namespace sdtorch
