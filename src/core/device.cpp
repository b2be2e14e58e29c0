#include "core/device.hpp"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>
#include <torch/cuda.h>

#include <charconv>
#include <exception>
#include <string_view>
#include <thread>

#include "core/error.hpp"
#include "core/instructions.hpp"

namespace sdtorch {
namespace {

/// cuBLAS is reproducible only with a fixed workspace, and reads this before its first call.
void fix_cublas_workspace() { setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0); }

[[noreturn]] void refuse_device(const std::string& device, const std::string& reason, const std::string& hint) {
  throw Error(ErrorKind::usage, {.file = "--device", .reason = fmt::format("'{}': {}", device, reason), .hint = hint});
}

}  // namespace

at::Device resolve_device(const std::string& device) {
  const bool has_cuda = torch::cuda::is_available();
  if (device == "cpu") return at::kCPU;
  if (device == "auto") return has_cuda ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);

  constexpr std::string_view cuda = "cuda";
  const std::string_view name = device;
  if (!name.starts_with(cuda)) refuse_device(device, "not a device", "use auto, cpu, cuda or cuda:N");
  int index = 0;
  if (name.size() > cuda.size()) {
    const std::string_view digits = name.substr(std::min(name.size(), cuda.size() + 1));
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
    if (name[cuda.size()] != ':' || error != std::errc() || end != digits.data() + digits.size() || index < 0) {
      refuse_device(device, "not a device", "use auto, cpu, cuda or cuda:N");
    }
  }
  if (!has_cuda) {
    refuse_device(device, "no CUDA device is available to this build of LibTorch",
                  "use --device cpu, or build with a CUDA LibTorch on a machine that has a GPU");
  }
  const auto count = static_cast<int>(static_cast<unsigned char>(torch::cuda::device_count()));
  if (index >= count) {
    refuse_device(device,
                  fmt::format("there {} {} CUDA device{}, counted from 0", count == 1 ? "is" : "are", count,
                              count == 1 ? "" : "s"),
                  "use auto, cpu, cuda or cuda:N");
  }
  return {at::kCUDA, static_cast<at::DeviceIndex>(index)};
}

at::ScalarType resolve_dtype(const std::string& dtype, at::Device device) {
  if (const auto found = find_compute_dtype(dtype)) return *found;
  if (dtype != "auto") {
    throw Error(ErrorKind::usage, {.file = "--dtype",
                                   .reason = fmt::format("'{}' is not a compute type", dtype),
                                   .hint = "use auto, fp32, fp16 or bf16"});
  }
  if (device.is_cuda()) return at::kHalf;
  return has_avx512_bf16() ? at::kBFloat16 : at::kFloat;
}

void use_deterministic_algorithms() {
  fix_cublas_workspace();
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
  at::globalContext().setBenchmarkCuDNN(false);
}

DeviceStart::DeviceStart(const std::string& device, bool deterministic) {
  if (device == "cpu") return;
  if (deterministic) fix_cublas_workspace();
  // Kernels come up when they are first called, not all at the beginning; the driver reads this when it starts.
  setenv("CUDA_MODULE_LOADING", "LAZY", 0);
  started_ = std::async(std::launch::async, [device] {
    try {
      if (!torch::cuda::is_available()) return;
      const c10::InferenceMode no_gradients;
      const at::Tensor some = at::zeros({8, 8, 8, 8}, at::TensorOptions(at::kHalf).device(resolve_device(device)));
      at::matmul(some, some);
      at::conv2d(some, some);
    } catch (const std::exception&) {  // told where the device is asked for
    }
  });
}

void wait_for_device(const std::string& device) {
  const at::Device place(device);
  if (place.is_cuda()) torch::cuda::synchronize(place.index());
}

void use_exact_fp32() {
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setAllowTF32CuBLAS(false);
}

void use_threads(int threads) {
  if (threads > 0) at::set_num_threads(threads);
}

int cores_at_hand() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  const bool known = sched_getaffinity(0, sizeof(cores), &cores) == 0;
  return known ? CPU_COUNT(&cores) : static_cast<int>(std::thread::hardware_concurrency());
}

bool leaves_cores_idle(at::Device device) { return device.is_cuda() || cores_at_hand() >= 2 * at::get_num_threads(); }

double peak_rss_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024.0;  // Linux counts in KiB
}

}  // namespace sdtorch
