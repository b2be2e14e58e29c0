// In the place of the GPU's layers in a build that has none: nothing is theirs, and nobody calls them.
#include "core/error.hpp"
#include "nn/captured.hpp"
#include "nn/cuda/layers.hpp"

namespace sdtorch {
namespace cuda {
namespace {

[[noreturn]] at::Tensor not_here() { throw Error(ErrorKind::bug, {.reason = "this build has no CUDA kernels"}); }

}  // namespace

bool takes(const at::Tensor&) { return false; }

bool multiplies_fp8(at::Device) { return false; }

at::MemoryFormat format_of_kernels(at::ScalarType) { return at::MemoryFormat::Contiguous; }

at::Tensor conv2d(const at::Tensor&, const ConvCall&) { not_here(); }

at::Tensor group_norm(const at::Tensor&, const NormCall&) { not_here(); }

at::Tensor gated_gelu(const at::Tensor&) { not_here(); }

at::Tensor attention(const at::Tensor&, const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, bool) {
  not_here();
}

}  // namespace cuda

struct CapturedCalls::Graphs {};

CapturedCalls::CapturedCalls() = default;
CapturedCalls::~CapturedCalls() = default;

at::Tensor CapturedCalls::operator()(const std::vector<at::Tensor>& inputs, const Function& function, const CallHint&) {
  return function(inputs);
}

void CapturedCalls::clear() {}

size_t CapturedCalls::graphs() const { return 0; }

}  // namespace sdtorch
