#include "recipes/random_weights.hpp"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>
#include <utility>

#include "core/interrupt.hpp"

namespace sdtorch {
namespace {

/// Values that keep activations at the size of their inputs through any depth: norms pass through, biases are zero,
/// embeddings and everything that is summed over have variance 1 after the sum (LeCun et al. 1998, section 4.6).
at::Tensor random_weight(const std::string& key, at::IntArrayRef shape, at::Generator& generator) {
  // Where a depth estimator's last ReLU would cut half of the depths away.
  if (key == "head.head.4.bias") return at::full(shape, 3.0);
  if (shape.size() == 1) return key.ends_with("bias") ? at::zeros(shape) : at::ones(shape);
  int64_t fan_in = 1;
  const bool looked_up = key.ends_with("embedding.weight") || key.ends_with("embeddings.weight");
  if (!looked_up) {
    for (const int64_t extent : shape.slice(1)) fan_in *= extent;
  }
  return at::randn(shape, generator).mul_(1 / std::sqrt(static_cast<double>(fan_in)));
}

/// A tensor's own seed, so that its values do not depend on the layout (FNV-1a, 64 bits).
uint64_t seed_of(uint64_t seed, const std::string& name) {
  constexpr uint64_t offset = 14695981039346656037u, prime = 1099511628211u;
  uint64_t hash = offset ^ seed;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * prime;
  return hash;
}

}  // namespace

std::function<at::Tensor(const std::string& key, const TensorPlan& plan)> random_weights(std::string component,
                                                                                         uint64_t seed) {
  return [component = std::move(component), seed](const std::string& key, const TensorPlan& tensor) {
    throw_if_interrupted();
    at::Generator generator = at::detail::createCPUGenerator(seed_of(seed, component + "/" + key));
    return random_weight(key, tensor.shape, generator);
  };
}

}  // namespace sdtorch
