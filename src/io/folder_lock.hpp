// A moment in which one process alone decides something about a folder.
#pragma once

#include <filesystem>

namespace sdtorch {

/// For as long as this lives no other process has one of the folder: by a locked file there, under a temporary name
/// (is_temporary_name), which is gone afterwards, and after a kill with what else was abandoned.
class FolderLock {
 public:
  /// Waits for others' ends, or for an interrupt, which it throws. Throws ErrorKind::output where no file can be made
  /// and locked there.
  explicit FolderLock(const std::filesystem::path& folder);
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock();

 private:
  bool try_lock();

  std::filesystem::path path_;
  int file_ = -1;
};

}  // namespace sdtorch
