#include "nn/fp8.hpp"

#include <limits>
#include <optional>
#include <vector>

namespace sdtorch {
namespace {

constexpr double largest = 448;        // that E4M3 has
constexpr double least_scale = 1e-12;  // of a row of zeros

}  // namespace

RoundedToFp8 rounded_to_fp8(const at::Tensor& x) {
  const at::Tensor rows = x.reshape({-1, x.size(-1)});
  const at::Tensor most =
      at::linalg_vector_norm(rows, std::numeric_limits<double>::infinity(), {-1}, /*keepdim=*/true, at::kFloat);
  at::Tensor scales = (most / largest).clamp_min_(least_scale);
  // Products want whole rows, whatever order x lies in.
  return {.values = (rows / scales).clamp_(-largest, largest).to(at::kFloat8_e4m3fn).contiguous(),
          .scales = scales.contiguous()};
}

bool Fp8Weights::take(const at::Tensor& weight) {
  constexpr int64_t step = 16;
  return weight.dim() == 2 && weight.size(0) % step == 0 && weight.size(1) % step == 0;
}

Fp8Weights::Fp8Weights(const at::Tensor& weight, const at::Tensor& bias)
    : weight_(rounded_to_fp8(weight.detach())), bias_(bias.defined() ? bias.detach().to(at::kBFloat16) : bias) {
  weight_.scales = weight_.scales.t();  // [1, out]
}

at::Tensor Fp8Weights::multiply(const at::Tensor& x) const {
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = weight_.values.size(0);
  if (x.numel() == 0) return at::empty(shape, x.options());
  const RoundedToFp8 rounded = rounded_to_fp8(x);
  const auto bias = bias_.defined() ? std::optional(bias_) : std::nullopt;
  return at::_scaled_mm(rounded.values, weight_.values.t(), rounded.scales, weight_.scales, bias,
                        /*scale_result=*/{}, at::kBFloat16, /*use_fast_accum=*/false)
      .to(x.scalar_type())
      .view(shape);
}

}  // namespace sdtorch
