#include "pipeline/self_attention_guidance.hpp"

namespace sdtorch {
namespace {

constexpr int64_t reach = least_side_to_blur - 1;  // of the kernel, to each side

at::Tensor blurred(const at::Tensor& x) {
  const at::Tensor places = at::linspace(-static_cast<double>(reach), static_cast<double>(reach), 2 * reach + 1);
  const at::Tensor weights = (-0.5 * places.square()).exp();
  const at::Tensor line = weights / weights.sum();
  const at::Tensor kernel = at::mm(line.unsqueeze(1), line.unsqueeze(0)).to(x.device());
  const int64_t channels = x.size(1);
  return at::conv2d(at::reflection_pad2d(x, {reach, reach, reach, reach}),
                    kernel.expand({channels, 1, kernel.size(0), kernel.size(1)}), {}, 1, at::IntArrayRef{0}, 1,
                    channels);
}

int64_t halved(int64_t side, size_t times) {
  for (size_t i = 0; i < times; ++i) side = (side + 1) / 2;
  return side;
}

}  // namespace

at::Tensor degraded(const at::Tensor& x, const at::Tensor& output, const at::Tensor& map,
                    const DegradedOptions& options) {
  const at::Tensor x0 = predicted_x0(options.prediction, output, x, options.at);
  const at::Tensor eps = predicted_eps(options.prediction, output, x, options.at);
  const int64_t height = halved(x.size(2), options.levels - 1);
  const at::Tensor looked_at = map.mean(1).sum(1).gt(1.0).to(at::kFloat).reshape({x.size(0), 1, height, -1});
  const at::Tensor mask = at::upsample_nearest2d(looked_at, x.sizes().slice(2));
  const at::Tensor mixed = mask * blurred(x0) + (1 - mask) * x0;
  return options.at.signal * mixed + options.at.noise * eps;
}

}  // namespace sdtorch
