// Named tensors as they come from files, and how they become a module's parameters.
#pragma once

#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include <filesystem>
#include <map>
#include <string>

namespace sdtorch {

/// A tensor and the file that it came from, for messages.
struct SourcedTensor {
  at::Tensor tensor;
  std::string file;
};

using StateDict = std::map<std::string, SourcedTensor>;

/// Maps a .safetensors file; the tensors share the mapping and keep it alive. Nothing is copied.
/// Throws ErrorKind::model naming file, key or offset.
StateDict load_safetensors(const std::filesystem::path& file);

/// Writes a .safetensors file atomically; keys are sorted, tensors contiguous on the CPU.
void save_safetensors(const std::filesystem::path& file, const std::map<std::string, at::Tensor>& tensors,
                      const std::map<std::string, std::string>& metadata = {});

/// Gives each parameter and buffer of `module` its tensor of the same name, converted once to dtype and device.
/// Strict: all missing, unexpected and misshapen keys are reported together in one ErrorKind::model.
/// name: what the module is, for messages ("unet").
void bind(torch::nn::Module& module, StateDict weights, at::ScalarType dtype, at::Device device,
          const std::string& name);

}  // namespace sdtorch
