// Writes what torch.save writes since PyTorch 1.6: a zip archive of a pickle and the tensors' bytes, all stored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.hpp"
#include "io/atomic_file.hpp"

namespace sdtorch {

/// A contiguous tensor of a state dict, with a storage of its own.
struct PickledTensor {
  std::string name{};
  at::ScalarType type = at::kFloat;  ///< of those that PyTorch has a storage class for; see Dtype::storage
  std::vector<int64_t> shape{};
};

/// The pickle (protocol 2) of a dictionary of tensors, tensor i in the storage named i; below the key `root` of another
/// dictionary where that is not empty. Throws ErrorKind::output naming a tensor whose type has no storage.
std::string pickle_state_dict(const std::vector<PickledTensor>& tensors, const std::string& root);

/// Writes the archive piece by piece. All failures are ErrorKind::output, naming the file.
class TorchZipWriter {
 public:
  /// root: see pickle_state_dict.
  TorchZipWriter(const std::filesystem::path& file, const std::vector<PickledTensor>& tensors, const std::string& root);

  /// The next tensor's bytes, in the order given to the constructor.
  void write(std::span<const std::byte> bytes);

  /// After the last tensor: the archive's directory, and the file under its name.
  void commit();

 private:
  struct Entry {
    std::string name;
    uint64_t offset = 0, size = 0;
    uint32_t crc = 0;
  };

  void add(const std::string& name, std::span<const std::byte> bytes);
  void add(const std::string& name, std::string_view text);
  void put(std::string_view bytes);

  AtomicFile output_;
  uint64_t written_ = 0;
  size_t tensors_ = 0;
  std::vector<Entry> entries_{};
};

}  // namespace sdtorch
