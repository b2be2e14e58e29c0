#include "diffusion/guidance.hpp"

#include <numeric>
#include <vector>

namespace sdtorch {
namespace {

/// Standard deviation of each image, unbiased, [B, 1, …].
at::Tensor deviation(const at::Tensor& x) {
  std::vector<int64_t> axes(static_cast<size_t>(x.dim() - 1));
  std::iota(axes.begin(), axes.end(), 1);
  return x.std(axes, /*unbiased=*/true, /*keepdim=*/true);
}

}  // namespace

at::Tensor guide(const at::Tensor& uncond, const at::Tensor& cond, double scale, double rescale) {
  const at::Tensor guided = uncond + scale * (cond - uncond);
  if (rescale <= 0) return guided;
  const at::Tensor rescaled = guided * (deviation(cond) / deviation(guided));
  return rescale * rescaled + (1 - rescale) * guided;
}

}  // namespace sdtorch
