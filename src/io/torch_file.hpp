// Files of torch.save (https://github.com/pytorch/pytorch/blob/v2.13.0/torch/serialization.py), read without Python and
// without running anything that is in them: the zip archives of PyTorch 1.6 and later, and the pickles of before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/torch_tensors.hpp"
#include "io/weights_format.hpp"
#include "io/zip_archive.hpp"

namespace sdtorch {

/// A storage's bytes, little-endian unless TorchFile::big_endian.
struct TorchBytes {
  std::span<const std::byte> bytes{};
  std::shared_ptr<const std::vector<std::byte>> unpacked{};  ///< their owner; none where they lie in the file itself
};

class TorchFile {
 public:
  /// Reads the pickle and finds every tensor and the bytes of every storage; those are not read yet.
  /// `file` has to outlive this; name is the file's in messages. format: torch_zip or torch_legacy.
  /// Throws ErrorKind::model: what zip_archive.hpp, pickle.hpp and torch_tensors.hpp refuse, storages whose bytes are
  /// missing, of another size or, packed, more than a file of this size has any use for; archives and pickles of
  /// others, named.
  TorchFile(std::span<const std::byte> file, std::string name, WeightsFormat format);

  const TorchTensors& contents() const { return contents_; }
  bool big_endian() const { return big_endian_; }

  /// The bytes of contents().storages[storage], not held against the archive's checksum yet.
  TorchBytes bytes(size_t storage) const;

  /// Whether there is a checksum: old files, and storages of no bytes, have none.
  bool has_checksum(size_t storage) const;
  /// Reads all of the storage's bytes. Throws ErrorKind::model naming the record where they do not have its checksum.
  void verify(size_t storage, const TorchBytes& bytes) const;

 private:
  [[noreturn]] void fail(std::string place, std::string reason, std::string hint = {}) const;
  void read_zip();
  std::string find_archive() const;
  TorchBytes read_record(const std::string& record) const;
  void place_records(const std::string& folder);
  void read_legacy();
  void place_storages(uint64_t begin, const std::vector<std::string>& keys);

  std::span<const std::byte> file_;
  std::string name_;
  std::optional<ZipArchive> archive_{};
  TorchTensors contents_{};
  bool big_endian_ = false;
  std::vector<std::string> records_{};                  ///< of the storages, in an archive
  std::vector<std::span<const std::byte>> in_place_{};  ///< of the storages, in an old file
};

}  // namespace sdtorch
