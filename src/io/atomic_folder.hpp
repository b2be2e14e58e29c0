// Folders that appear with all their files or not at all.
#pragma once

#include <filesystem>

namespace sdtorch {

/// A new folder, filled under a temporary name beside its final one (inside it where that is there and empty) and put
/// in place by `commit`; without a commit nothing remains. All failures are ErrorKind::output, naming the final path.
class AtomicFolder {
 public:
  /// Throws where the path is a file or a folder with contents. Missing parents are made.
  explicit AtomicFolder(const std::filesystem::path& path);
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;
  ~AtomicFolder();

  /// Where to put the files until the commit.
  const std::filesystem::path& path() const { return temporary_; }

  void commit();

 private:
  std::filesystem::path target_, temporary_;
  bool target_is_there_ = false;
};

}  // namespace sdtorch
