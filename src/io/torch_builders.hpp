// How one tensor stands in a pickle.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "io/pickle.hpp"
#include "io/torch_tensors.hpp"

namespace sdtorch {

/// Reads calls of torch's functions that build tensors, and gathers the storages that they name.
class TorchBuilders {
 public:
  TorchBuilders(const Pickle& pickle, const std::string& file) : pickle_(pickle), file_(file) {}

  /// Whether the node is a call of one of the functions, or a storage by itself.
  bool is_tensor(PickleRef ref) const;

  /// The tensor of such a node; a storage by itself is a tensor of one axis. path: for messages.
  TorchTensor read(PickleRef ref, const std::vector<std::string>& path);

  /// Gathers the storages, too, that no tensor read so far has: those of the whole pickle.
  void read_all_storages();

  std::vector<TorchStorage> take_storages() { return std::move(storages_); }

 private:
  /// A part of a storage, all of it unless an old file says otherwise. In elements of the storage's own type.
  struct View {
    size_t storage = 0;
    uint64_t offset = 0, elements = 0;
  };

  [[noreturn]] void fail(std::string reason) const;
  TorchTensor build(PickleRef object, size_t depth);
  TorchTensor call(std::string_view function, PickleRef arguments, size_t depth);
  TorchTensor strided(const std::vector<PickleRef>& arguments, PickleRef dtype, PickleRef metadata);
  void check_extent(const TorchTensor& tensor, uint64_t elements) const;
  void read_metadata(PickleRef metadata, TorchTensor& tensor) const;
  View view(PickleRef persistent);
  size_t storage(const std::string& key, const Dtype& type, uint64_t elements);
  const Dtype& storage_type(PickleRef ref) const;

  const std::vector<PickleRef>& sequence(PickleRef ref, const char* what) const;
  int64_t integer(PickleRef ref, const char* what) const;
  std::vector<int64_t> integers(PickleRef ref, const char* what) const;
  std::string_view callee(PickleRef ref) const;  ///< of an object, where it is a global; else empty
  bool is_filled_tensor(PickleRef ref) const;

  const Pickle& pickle_;
  const std::string& file_;
  const std::vector<std::string>* path_ = nullptr;
  std::vector<TorchStorage> storages_{};
  std::map<std::string, size_t> storage_by_key_{};
};

}  // namespace sdtorch
