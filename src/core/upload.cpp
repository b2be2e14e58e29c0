#include "core/upload.hpp"

#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <mutex>

namespace sdtorch {
namespace {

/// Two buffers in turn, one being filled while the other is read.
class Staging {
 public:
  explicit Staging(at::DeviceType type) : impl_(type) {
    for (Buffer& buffer : buffers_) {
      buffer.bytes = at::empty({capacity}, at::TensorOptions(at::kByte).pinned_memory(true));
    }
  }

  /// from, to: bytes, on the CPU and on the GPU
  void copy(const at::Tensor& from, const at::Tensor& to) {
    const std::lock_guard lock(mutex_);
    for (int64_t done = 0; done < from.numel();) {
      if (used_ == capacity) turn(to.device());
      const int64_t count = std::min(capacity - used_, from.numel() - done);
      const at::Tensor part = buffers_[current_].bytes.narrow(0, used_, count);
      part.copy_(from.narrow(0, done, count));
      to.narrow(0, done, count).copy_(part, /*non_blocking=*/true);
      used_ += count;
      done += count;
    }
  }

 private:
  static constexpr int64_t capacity = int64_t{32} << 20;  // bytes: large enough for the bus, small enough to pin soon

  struct Buffer {
    at::Tensor bytes{};
    c10::Event read{c10::DeviceType::CUDA};  ///< when all copies from it are done
  };

  /// On to the other buffer, as soon as it has been read.
  void turn(at::Device device) {
    buffers_[current_].read.record(impl_.getStream(device));
    current_ = 1 - current_;
    used_ = 0;
    buffers_[current_].read.synchronize();
  }

  c10::impl::VirtualGuardImpl impl_;
  std::mutex mutex_{};
  std::array<Buffer, 2> buffers_{};
  size_t current_ = 0;
  int64_t used_ = 0;  ///< bytes of the current one
};

/// One a device, never let go: at the end of the process the driver may be gone before it.
Staging& staging_of(at::Device device) {
  static std::mutex mutex;
  static std::map<at::DeviceIndex, Staging*> known;
  const std::lock_guard lock(mutex);
  Staging*& staging = known[device.index()];
  if (!staging) staging = std::make_unique<Staging>(device.type()).release();
  return *staging;
}

at::Tensor as_bytes(const at::Tensor& dense) { return dense.flatten().view(at::kByte); }

}  // namespace

at::Tensor sent(const at::Tensor& tensor, at::Device device) {
  if (!tensor.is_cpu() || !device.is_cuda()) return tensor.to(device);
  return tensor.pin_memory().to(device, tensor.scalar_type(), /*non_blocking=*/true);
}

at::Tensor uploaded(const at::Tensor& tensor, at::Device device) {
  const at::Tensor dense = tensor.contiguous();
  at::Tensor there = at::empty(dense.sizes(), dense.options().device(device));
  if (dense.numel() > 0) staging_of(there.device()).copy(as_bytes(dense), as_bytes(there));
  return there;
}

}  // namespace sdtorch
