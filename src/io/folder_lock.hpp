// A moment in which one process alone decides something about a folder.
#pragma once

#include <filesystem>
#include <string_view>

namespace sdtorch {

/// For as long as this lives no other process has one of the folder: by a locked file there, under a temporary name
/// (is_temporary_name), which is gone afterwards; after a kill it goes with what else was abandoned. It holds nothing.
class FolderLock {
 public:
  /// Waits for others' ends, or for an interrupt, which it throws; says so after a second. wait: as long as it takes,
  /// else ten seconds, which only one takes that was stopped. Throws ErrorKind::in_use then, and ErrorKind::output
  /// where no file can be made and locked there.
  FolderLock(const std::filesystem::path& folder, bool wait);
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock();

  /// Its file's.
  static constexpr std::string_view name = ".sdtorch-lock.tmp";

 private:
  bool try_lock();

  std::filesystem::path path_;
  int file_ = -1;
};

}  // namespace sdtorch
