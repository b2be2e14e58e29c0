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

at::Tensor guide(const at::Tensor& uncond, const at::Tensor& cond, double scale) {
  return uncond + scale * (cond - uncond);
}

at::Tensor rescaled(const at::Tensor& guided, const at::Tensor& cond, double phi) {
  if (phi <= 0) return guided;
  const at::Tensor alike = guided * (deviation(cond) / deviation(guided));
  return phi * alike + (1 - phi) * guided;
}

at::Tensor mimicked(const at::Tensor& uncond, const at::Tensor& cond, double scale, double mimic_scale,
                    double quantile) {
  const auto flat = [&](double at_scale) { return guide(uncond, cond, at_scale).flatten(2); };
  const at::Tensor guided = flat(scale), mimic = flat(mimic_scale);
  const at::Tensor mean = guided.mean(2, /*keepdim=*/true);
  const at::Tensor centred = guided - mean;
  const at::Tensor wanted = (mimic - mimic.mean(2, /*keepdim=*/true)).abs().amax(2, /*keepdim=*/true);
  const at::Tensor largest = at::maximum(wanted, centred.abs().quantile(quantile, 2, /*keepdim=*/true));
  const at::Tensor some = largest.clamp_min(1e-20);  // of a channel that is all one value
  const at::Tensor kept = at::minimum(at::maximum(centred, -largest), largest) / some * wanted;
  return (kept + mean).view_as(cond);
}

}  // namespace sdtorch
