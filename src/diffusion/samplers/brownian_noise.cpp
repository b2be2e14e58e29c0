#include "diffusion/samplers/brownian_noise.hpp"

#include "core/upload.hpp"

namespace sdtorch {

BrownianNoise::BrownianNoise(const SamplingPlan& plan, const Noise& noise, const at::Tensor& x)
    : pictures_(noise.pictures()), device_(x.device()) {
  const double smallest = plan.sigmas.back() > 0 ? plan.sigmas.back() : plan.sigmas[plan.sigmas.size() - 2];
  for (const PictureNoise& picture : pictures_) {
    std::vector<int64_t> shape = x.sizes().vec();
    shape.front() = picture.slices;
    trees_.emplace_back(BrownianTree::Options{.entropy = plan.config.noise_sampler_seed.value_or(picture.seed),
                                              .start = smallest,
                                              .end = plan.earlier.empty() ? plan.sigmas.front() : plan.earlier.front(),
                                              .shape = shape,
                                              .source = noise.rules().sampler});
  }
}

at::Tensor BrownianNoise::operator()(const at::Tensor& from, const at::Tensor& to) const {
  std::vector<at::Tensor> images;
  for (size_t i = 0; i < trees_.size(); ++i) {
    images.push_back(-trees_[i].increment(to.item<float>(), from.item<float>()).narrow(0, pictures_[i].slice, 1));
  }
  return sent(at::cat(images) / (to - from).abs().sqrt(), device_);
}

}  // namespace sdtorch
