// What each kind of layer costs, recorded where somebody asks for it.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace sdtorch {

enum class LayerKind { convolution, linear, attention, norm, activation };

/// In the order of LayerKind.
inline constexpr std::array<std::string_view, 5> layer_kind_names = {"convolution", "linear", "attention", "norm",
                                                                     "activation"};

/// [rows, inner] times [inner, columns], so many times: what a layer multiplies. A convolution is one product whose
/// rows are the output's places and whose inner size is input channels times the kernel's places.
struct MatrixProduct {
  int64_t rows = 0;
  int64_t inner = 0;
  int64_t columns = 0;
  int64_t times = 1;

  /// A multiplication and an addition are two operations.
  double flops() const {
    return 2.0 * static_cast<double>(rows) * static_cast<double>(inner) * static_cast<double>(columns) *
           static_cast<double>(times);
  }
  auto operator<=>(const MatrixProduct&) const = default;
};

/// All calls of one kind with products of one size. Seconds are the calls' own, without those of layers inside them.
struct LayerCost {
  LayerKind kind{};
  MatrixProduct product{};  ///< all zeros for layers that multiply no matrices
  int64_t calls = 0;
  double seconds = 0;
};

/// Records the layers of all threads from its making to its end; one at a time. Costs two readings of the clock a call.
class LayerProfile {
 public:
  /// `settle` returns when all that layers have queued on the device is done; it is called around each layer.
  explicit LayerProfile(std::function<void()> settle = [] {});
  ~LayerProfile();
  LayerProfile(const LayerProfile&) = delete;
  LayerProfile& operator=(const LayerProfile&) = delete;

  /// What was recorded since the making or the last take, by kind and product.
  std::vector<LayerCost> take();
};

/// A layer's call, from here to the end of the scope. Where nobody asks it costs one relaxed load.
class LayerTimer {
 public:
  explicit LayerTimer(LayerKind kind, MatrixProduct product = {}) : kind_(kind), product_(product) {
    if (records()) begin();
  }
  ~LayerTimer() {
    if (running_) end();
  }
  LayerTimer(const LayerTimer&) = delete;
  LayerTimer& operator=(const LayerTimer&) = delete;

  /// Whether somebody asks.
  static bool records() { return recording_.load(std::memory_order_relaxed); }

 private:
  friend class LayerProfile;
  void begin();
  void end();

  static inline std::atomic<bool> recording_ = false;

  LayerKind kind_;
  MatrixProduct product_;
  bool running_ = false;
  LayerTimer* outer_ = nullptr;  ///< the layer whose call this one is part of
  double inside_ = 0;            ///< seconds of the layers inside this one
  std::chrono::steady_clock::time_point start_{};
};

}  // namespace sdtorch
