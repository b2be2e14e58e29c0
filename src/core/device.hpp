// Where the networks compute, and in which type.
#pragma once

#include <ATen/ATen.h>

#include <future>
#include <string>

#include "core/dtype.hpp"

namespace sdtorch {

/// device: auto (CUDA where there is one, else the CPU), cpu, cuda, cuda:N.
/// Throws ErrorKind::usage where the name is not of that form or the device is not there.
at::Device resolve_device(const std::string& device);

/// dtype: auto, fp32, fp16, bf16. `auto` is fp16 on CUDA, bf16 on CPUs that multiply it in hardware
/// (AMX or AVX512-BF16), else fp32. Throws ErrorKind::usage for another name.
at::ScalarType resolve_dtype(const std::string& dtype, at::Device device);

/// fp32 means fp32 on CUDA too, from here on: no rounding to TF32 inside convolutions and matrix products.
void use_exact_fp32();

/// Same build, device and request give the same bytes from here on: deterministic kernels, no autotuning.
void use_deterministic_algorithms();

/// Starts a GPU on a thread of its own, while models' headers are read and prompts are tokenised: the driver, its
/// context, and the libraries for matrices and convolutions. What cannot be started shows where it is needed. The end
/// of its life waits for it.
class DeviceStart {
 public:
  /// device: as for resolve_device; nothing happens for the CPU, nor where there is no GPU. deterministic: whether
  /// use_deterministic_algorithms will be called.
  DeviceStart(const std::string& device, bool deterministic);

 private:
  std::future<void> started_{};
};

/// Returns when all that was queued on a device ("cuda:0") is done; at once for the CPU.
void wait_for_device(const std::string& device);

/// threads: 1…1024 for work inside an operator, 0 for LibTorch's own choice.
void use_threads(int threads);

/// Cores that this process may run on.
int cores_at_hand();

/// Whether cores are idle while networks compute on the device.
bool leaves_cores_idle(at::Device device);

/// The largest resident memory that this process has had, in MiB.
double peak_rss_mib();

}  // namespace sdtorch
