// Memory that runs out when a test wants it to.
#pragma once

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstddef>

/// As long as it lives, tensors of more than `most` bytes find no memory.
class ShortOfMemory final : public c10::Allocator {
 public:
  explicit ShortOfMemory(size_t most) : usual_(c10::GetCPUAllocator()), most_(most) {
    c10::SetCPUAllocator(this, priority);
  }
  ShortOfMemory(const ShortOfMemory&) = delete;
  ShortOfMemory& operator=(const ShortOfMemory&) = delete;
  ~ShortOfMemory() override { c10::SetCPUAllocator(usual_, priority); }

  c10::DataPtr allocate(size_t bytes) override {
    if (bytes > most_) {
      ++refused_;
      C10_THROW_ERROR(OutOfMemoryError, "a test wants memory to run out");
    }
    largest_ = std::max(largest_, bytes);
    return usual_->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override { return usual_->raw_deleter(); }
  void copy_data(void* to, const void* from, size_t bytes) const override { usual_->copy_data(to, from, bytes); }

  /// How many were refused so far.
  int refused() const { return refused_; }

  /// The most that a tensor was given so far.
  size_t largest() const { return largest_; }

 private:
  static constexpr uint8_t priority = 100;

  c10::Allocator* usual_;
  size_t most_, largest_ = 0;
  int refused_ = 0;
};
