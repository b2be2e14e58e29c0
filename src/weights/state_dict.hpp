// Named tensors as they come from files.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace sdtorch {

/// A tensor and the file that it came from, for messages.
struct SourcedTensor {
  at::Tensor tensor;
  std::string file;
};

using StateDict = std::map<std::string, SourcedTensor>;

/// Maps a .safetensors file; the tensors share the mapping and keep it alive, and nothing is copied but booleans and
/// what lies unaligned. The tensors are read-only: an in-place operation on one ends the process.
/// Throws ErrorKind::model naming file, key or offset.
StateDict load_safetensors(const std::filesystem::path& file);

/// Writes a .safetensors file atomically, tensor by tensor; keys are sorted. Tensors of any device and layout.
/// Throws ErrorKind::output.
void save_safetensors(const std::filesystem::path& file, const std::map<std::string, at::Tensor>& tensors,
                      const std::map<std::string, std::string>& metadata = {});

/// A tensor that is still to be made.
struct TensorPlan {
  at::ScalarType type = at::kFloat;
  std::vector<int64_t> shape{};
};

/// The same for models that would not fit into memory at once: `make` gives each tensor when its turn comes, in the
/// order of the keys, and it is let go when it is written.
void save_safetensors(const std::filesystem::path& file, const std::map<std::string, TensorPlan>& plans,
                      const std::function<at::Tensor(const std::string& key)>& make,
                      const std::map<std::string, std::string>& metadata = {});

}  // namespace sdtorch
