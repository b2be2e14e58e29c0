// What was read from files, kept for the next who asks while the files are the same.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <list>
#include <memory>
#include <mutex>

namespace sdtorch {

/// When a file was written last, and its size: another file of the same name has others.
struct FileStamp {
  std::filesystem::file_time_type written{};
  uintmax_t size = 0;

  /// Of what cannot be looked at, that of no file.
  static FileStamp of(const std::filesystem::path& file) {
    std::error_code error;
    FileStamp stamp{.written = std::filesystem::last_write_time(file, error)};
    stamp.size = std::filesystem::file_size(file, error);
    return stamp;
  }

  bool operator==(const FileStamp&) const = default;
};

/// Keeps the `most` that were asked for last. Safe from several threads, one of which reads at a time.
template <typename Value>
class FileCache {
 public:
  using Read = std::function<std::shared_ptr<const Value>(const std::filesystem::path&)>;

  explicit FileCache(size_t most) : most_(most) {}

  /// What `read` made of the file as it is now. Throws what read throws.
  std::shared_ptr<const Value> get(const std::filesystem::path& file, const Read& read) {
    const std::lock_guard lock(mutex_);
    const FileStamp stamp = FileStamp::of(file);
    for (auto known = known_.begin(); known != known_.end(); ++known) {
      if (known->file != file) continue;
      if (known->stamp != stamp) {
        known_.erase(known);
        break;
      }
      known_.splice(known_.begin(), known_, known);
      return known_.front().value;
    }
    known_.push_front({file, stamp, read(file)});
    if (known_.size() > most_) known_.pop_back();
    return known_.front().value;
  }

 private:
  struct Known {
    std::filesystem::path file{};
    FileStamp stamp{};
    std::shared_ptr<const Value> value{};
  };

  size_t most_;
  std::mutex mutex_{};
  std::list<Known> known_{};  ///< the one asked for last in front
};

}  // namespace sdtorch
