#include "diffusion/samplers/brownian_noise.hpp"

#include "core/upload.hpp"

namespace sdtorch {

BrownianNoise::BrownianNoise(const SamplingPlan& plan, const Noise& noise, const at::Tensor& x) : device_(x.device()) {
  const double smallest = plan.sigmas.back() > 0 ? plan.sigmas.back() : plan.sigmas[plan.sigmas.size() - 2];
  for (const uint64_t seed : noise.seeds()) {
    trees_.emplace_back(BrownianTree::Options{.entropy = plan.config.noise_sampler_seed.value_or(seed),
                                              .start = smallest,
                                              .end = plan.earlier.empty() ? plan.sigmas.front() : plan.earlier.front(),
                                              .shape = x.sizes().slice(1).vec()});
  }
}

at::Tensor BrownianNoise::operator()(const at::Tensor& from, const at::Tensor& to) const {
  std::vector<at::Tensor> images;
  for (const BrownianTree& tree : trees_) images.push_back(-tree.increment(to.item<float>(), from.item<float>()));
  return sent(at::stack(images) / (to - from).abs().sqrt(), device_);
}

}  // namespace sdtorch
