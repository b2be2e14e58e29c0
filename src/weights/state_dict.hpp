// Named tensors as they come from files.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace sdtorch {

class MappedFile;
struct SafetensorsHeader;

/// A tensor and the file that it came from, for messages.
struct SourcedTensor {
  at::Tensor tensor;
  std::string file;
  /// Holds the tensor's bytes against their file's checksum, which reads them all; the second time it does nothing.
  /// Throws ErrorKind::model naming file and record. Empty: there is none, or it was held already.
  std::function<void()> verify{};
};

using StateDict = std::map<std::string, SourcedTensor>;

/// Verifies the tensors that still have to be: before their numbers are used.
void verify_checksums(const StateDict& weights);

/// Maps a .safetensors file; the tensors share the mapping and keep it alive, and nothing is copied but booleans and
/// what lies unaligned. The tensors are read-only: an in-place operation on one ends the process.
/// Throws ErrorKind::model naming file, key or offset.
StateDict load_safetensors(const std::filesystem::path& file);

/// The same of a file that is mapped and whose header is read already.
StateDict load_safetensors(const std::shared_ptr<MappedFile>& file, const SafetensorsHeader& header);

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
