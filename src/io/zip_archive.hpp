// Zip archives (PKWARE's APPNOTE.TXT 6.3, with zip64) in memory, as PyTorch's checkpoints are: entries stored as they
// are or deflated, found by the central directory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sdtorch {

struct ZipEntry {
  uint64_t header = 0;    ///< offset of the local header
  uint64_t begin = 0;     ///< offset of the first byte of the data
  uint64_t packed = 0;    ///< bytes in the archive
  uint64_t size = 0;      ///< bytes once unpacked
  uint32_t checksum = 0;  ///< CRC-32 of the unpacked bytes; 0 where the writer has not computed it
  uint16_t method = 0;    ///< 0: stored, 8: deflated
  bool encrypted = false;
};

class ZipArchive {
 public:
  /// Reads and checks the directory: entries that lie in the file, do not overlap, have the same name in front of
  /// their data, names that occur once and climb nowhere. name: the file's in messages. `file` has to outlive this.
  /// Throws ErrorKind::model.
  ZipArchive(std::span<const std::byte> file, std::string name);

  const std::map<std::string, ZipEntry, std::less<>>& entries() const { return entries_; }

  /// None where there is no such entry.
  const ZipEntry* find(std::string_view entry) const;

  /// The bytes in place where the entry is stored, none where it is deflated.
  /// Throws ErrorKind::model where it is encrypted or packed in a way that is not read.
  bool is_stored(const std::string& entry) const;
  std::span<const std::byte> stored(const std::string& entry) const;

  /// The bytes of a deflated entry. Throws ErrorKind::model where they are not of the size that the directory tells.
  std::vector<std::byte> inflated(const std::string& entry) const;

  /// Throws ErrorKind::model where the entry's unpacked bytes do not have the directory's CRC-32.
  void verify(const std::string& entry, std::span<const std::byte> unpacked) const;

 private:
  [[noreturn]] void fail(std::string place, std::string reason) const;
  void read_directory();
  void add_entry(std::string_view header, std::string_view name, std::string_view extra);
  void check_overlap() const;
  const ZipEntry& at(const std::string& entry) const;

  std::string_view file_;
  std::string name_;
  uint64_t directory_ = 0;  ///< offset of the central directory: data lie in front of it
  std::map<std::string, ZipEntry, std::less<>> entries_{};
};

}  // namespace sdtorch
