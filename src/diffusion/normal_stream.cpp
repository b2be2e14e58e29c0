#include "diffusion/normal_stream.hpp"

#include <ATen/CPUGeneratorImpl.h>

namespace sdtorch {

NormalStream::NormalStream(RandomSource source, uint64_t seed) : generator_(PhiloxGenerator(seed)) {
  if (source == RandomSource::cpu) generator_ = at::detail::createCPUGenerator(seed);
}

at::Tensor NormalStream::draw(at::IntArrayRef shape) {
  if (auto* philox = std::get_if<PhiloxGenerator>(&generator_)) return philox->randn(shape);
  return at::randn(shape, std::get<at::Generator>(generator_), at::kFloat);
}

}  // namespace sdtorch
