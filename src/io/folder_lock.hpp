// A moment in which one process alone decides something about a folder.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string_view>

namespace sdtorch {

/// For as long as this lives no other process has one of the folder: by a locked file there, under a temporary name
/// (is_temporary_name), which is gone afterwards; after a kill it goes with what else was abandoned. The file is empty.
class FolderLock {
 public:
  /// Waits for others' ends, and says so after a second. wait: as long as it takes; else no longer than `patience` for
  /// any of them, which only one takes that was stopped. Throws ErrorKind::in_use then, and ErrorKind::output where no
  /// file can be made and locked there.
  FolderLock(const std::filesystem::path& folder, bool wait, std::chrono::milliseconds patience = usual_patience);
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock();

  /// Its file's.
  static constexpr std::string_view name = ".sdtorch-lock.tmp";
  static constexpr std::chrono::milliseconds usual_patience{10'000};

 private:
  bool try_lock();

  std::filesystem::path path_;
  int file_ = -1;
  uint64_t last_ = 0;  ///< the last file that was tried: another one is another holder's
};

}  // namespace sdtorch
