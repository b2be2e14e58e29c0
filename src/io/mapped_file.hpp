// A file's bytes without reading it: a private, read-only mapping.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "core/error.hpp"

namespace sdtorch {

class MappedFile {
 public:
  /// Throws `kind` where the path is missing, unreadable or no regular file. An empty file maps to no bytes.
  MappedFile(const std::filesystem::path& path, ErrorKind kind);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  /// Valid as long as this object is. The file must not be truncated meanwhile.
  std::span<const std::byte> bytes() const { return bytes_; }

  /// Lets the memory of these bytes go, a part of bytes(), and of what shares a page with them. They stay valid: they
  /// are read from the file again when they are looked at.
  void release(std::span<const std::byte> part) const;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::span<const std::byte> bytes_{};
};

}  // namespace sdtorch
