// Pictures on their way to disk, beside the drawing of the next ones.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <filesystem>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

#include "jobs/drawn_picture.hpp"
#include "jobs/picture_writer.hpp"

namespace sdtorch {

struct PublishedPicture {
  DrawnPicture drawn{};
  std::filesystem::path path{};
};

/// Writes pictures one after another in a thread of its own, in which they become PNG files, too, or side by side where
/// cores are idle. Of what was added before a failure all is written that can be.
class Publisher {
 public:
  /// Called in that thread once a picture is complete on disk.
  using Record = std::function<void(const DrawnPicture&, const WrittenPicture&)>;

  Publisher(PictureWriter writer, Record record);
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;
  /// Waits for what was added.
  ~Publisher();

  /// Waits while `most_waiting` pictures are not yet written. Throws what writing an earlier one threw.
  void add(DrawnPicture picture);

  /// What has been written and recorded since the last call. Throws what writing threw, once all before it was taken.
  std::vector<PublishedPicture> take();

  /// The same once all is written.
  std::vector<PublishedPicture> finish();

 private:
  static constexpr size_t most_waiting = 16;  // pictures: 1024² are 3 MB each

  struct Waiting {
    DrawnPicture drawn{};
    std::future<std::vector<std::byte>> png{};  ///< where it is not there yet
  };

  void work();
  void write(Waiting picture);
  std::vector<PublishedPicture> take_locked();

  PictureWriter writer_;
  Record record_;
  std::mutex mutex_{};
  std::condition_variable changed_{};
  std::deque<Waiting> waiting_{};
  std::vector<PublishedPicture> published_{};
  std::exception_ptr failure_{};
  bool writing_ = false, ending_ = false;
  std::thread thread_{};  // last: begins when the rest is there
};

}  // namespace sdtorch
