// Files that appear under their name only when they are complete, even after a power cut.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace sdtorch {

/// A file written piece by piece under a temporary name in the same folder. `commit` syncs it, renames it over its
/// final name and syncs the folder; without a commit nothing remains. All failures are ErrorKind::output, naming the
/// final path.
class AtomicFile {
 public:
  /// Throws where the folder is missing or not writable, or the path is there and no regular file (a folder,
  /// /dev/null). A symbolic link is followed.
  explicit AtomicFile(const std::filesystem::path& path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

  /// Puts the file under its final name, replacing what was there.
  void commit();

  /// Puts the file under its final name unless something is there already: then returns false, and nothing remains.
  /// Of two that try for one name, one gets it.
  bool commit_new();

 private:
  void sync();
  [[noreturn]] void fail(const char* what, int error) const;

  std::filesystem::path path_, target_, temporary_;
  int file_ = -1;
};

/// The whole file at once.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

/// The whole file at once, under its final name unless something is there already: then returns false, and nothing
/// remains. Where the file system can (O_TMPFILE) the file has no name at all before it is complete, so that not even
/// kill -9 leaves a piece of it.
bool write_new_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);

/// Whether a file's name is one of those that are not to outlive their process, which holds a lock on them (flock):
/// AtomicFile's temporary ones, FolderLock's.
bool is_temporary_name(std::string_view name);

/// Whether a file of such a name was left by a process that was killed: nobody holds it, on this machine or on others
/// that lock files on the same file system. False where it is gone, and for what is no regular file.
bool is_abandoned(const std::filesystem::path& temporary);

/// Removes what is_abandoned in a folder. What cannot be locked or removed stays.
void remove_abandoned_files(const std::filesystem::path& folder);

/// Whether a name still stands for an open file: somebody may have removed it, or put another in its place. True where
/// that cannot be looked at: who waits for a name that stands would else wait for ever.
bool is_named(int file, const std::filesystem::path& path);

/// Makes a folder's entries (a file renamed into it) safe against a power cut. Throws ErrorKind::output.
void sync_folder(const std::filesystem::path& folder);

}  // namespace sdtorch
