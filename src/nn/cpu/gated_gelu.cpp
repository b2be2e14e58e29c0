#include "nn/cpu/gated_gelu.hpp"

#include <ATen/Parallel.h>

#include "nn/cpu/elementwise.hpp"

namespace sdtorch::cpu {
namespace {

SDTORCH_CPU_VERSIONS void gate_row(const Bf16* __restrict x, int64_t width, Bf16* __restrict y) {
  for (int64_t i = 0; i < width; ++i) store(y[i], to_float(x[i]) * gelu(to_float(x[width + i])));
}

}  // namespace

bool gated_gelu_takes(const at::Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kBFloat16 && x.is_contiguous() && x.numel() > 0;
}

at::Tensor gated_gelu(const at::Tensor& x) {
  std::vector<int64_t> sizes = x.sizes().vec();
  const int64_t width = sizes.back() / 2, rows = x.numel() / sizes.back();
  sizes.back() = width;
  const at::Tensor out = at::empty(sizes, x.options());
  const auto* from = static_cast<const Bf16*>(x.const_data_ptr());
  auto* to = static_cast<Bf16*>(out.mutable_data_ptr());
  at::parallel_for(0, rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) gate_row(from + row * 2 * width, width, to + row * width);
  });
  return out;
}

}  // namespace sdtorch::cpu
