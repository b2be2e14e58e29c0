// Wall-clock time, and what many measurements of it say.
#pragma once

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "core/device.hpp"

namespace sdtorch {

/// Seconds since the last lap, everything queued on the device ("cuda:0") included.
class Stopwatch {
 public:
  explicit Stopwatch(std::string device) : device_(std::move(device)) {}

  double lap() {
    wait_for_device(device_);
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    return seconds;
  }

 private:
  std::string device_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

/// values: at least one.
inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

}  // namespace sdtorch
