#include "jobs/publisher.hpp"

#include <utility>

namespace sdtorch {

Publisher::Publisher(PictureWriter writer, Record record)
    : writer_(std::move(writer)), record_(std::move(record)), thread_([this] { work(); }) {}

Publisher::~Publisher() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Publisher::add(DrawnPicture picture) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return failure_ || waiting_.size() < most_waiting; });
  if (failure_) std::rethrow_exception(failure_);
  std::future<std::vector<std::byte>> png;
  if (picture.png.empty()) png = png_of(picture.picture, *picture.choice);
  waiting_.push_back({.drawn = std::move(picture), .png = std::move(png)});
  changed_.notify_all();
}

std::vector<PublishedPicture> Publisher::take() {
  const std::lock_guard lock(mutex_);
  return take_locked();
}

std::vector<PublishedPicture> Publisher::finish() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return waiting_.empty() && !writing_; });
  return take_locked();
}

std::vector<PublishedPicture> Publisher::take_locked() {
  if (published_.empty() && failure_) std::rethrow_exception(failure_);
  return std::exchange(published_, {});
}

void Publisher::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return ending_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    writing_ = true;
    lock.unlock();
    write(std::move(next));
    lock.lock();
    writing_ = false;
    changed_.notify_all();
  }
}

void Publisher::write(Waiting waiting) {
  DrawnPicture picture = std::move(waiting.drawn);
  try {
    if (waiting.png.valid()) picture.png = waiting.png.get();
    const WrittenPicture written = writer_.write(picture.picture, *picture.choice, picture.number, picture.png);
    record_(picture, written);
    const std::lock_guard lock(mutex_);
    published_.push_back({.drawn = std::move(picture), .path = written.path});
  } catch (...) {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::current_exception();
  }
}

}  // namespace sdtorch
