#include "sdtorch/version.hpp"

#include <ATen/Context.h>
#include <ATen/Version.h>
#include <fmt/format.h>
#include <torch/version.h>

namespace sdtorch {
namespace {

/// "13.0" from the runtime's own way of counting: thousands for the major, tens for the minor version.
std::string cuda_version(long runtime) { return fmt::format("{}.{}", runtime / 1000, runtime % 1000 / 10); }

std::string cuda_text() {
  if (!at::Context::hasCUDART()) return "not in this LibTorch";
  const size_t devices = at::getNumGPUs();
  return fmt::format("{}, {}", cuda_version(at::Context::versionCUDART()),
                     devices == 0 ? "no device" : fmt::format("{} device{}", devices, devices == 1 ? "" : "s"));
}

}  // namespace

std::string version_text() {
  return fmt::format("sdtorch {}\nLibTorch {}\nCPU capability {}\nCUDA {}", SDTORCH_VERSION, TORCH_VERSION,
                     at::get_cpu_capability(), cuda_text());
}

}  // namespace sdtorch
