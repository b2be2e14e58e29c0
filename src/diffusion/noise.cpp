#include "diffusion/noise.hpp"

#include <ATen/CPUGeneratorImpl.h>

namespace sdtorch {

Noise::Noise(const std::vector<uint64_t>& seeds) : seeds_(seeds) {
  generators_.reserve(seeds.size());
  for (const uint64_t seed : seeds) generators_.push_back(at::detail::createCPUGenerator(seed));
}

at::Tensor Noise::draw(at::IntArrayRef shape) {
  std::vector<int64_t> one{1};
  one.insert(one.end(), shape.begin(), shape.end());
  std::vector<at::Tensor> images;
  images.reserve(generators_.size());
  for (const at::Generator& generator : generators_) images.push_back(at::randn(one, generator, at::kFloat));
  return at::cat(images);
}

}  // namespace sdtorch
