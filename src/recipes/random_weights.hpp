// Weights of a network that nobody has trained: the same for a seed and a name, whatever file they go into.
#pragma once

#include <torch/nn/module.h>

#include <cstdint>
#include <functional>
#include <string>

#include "recipes/model_layout.hpp"

namespace sdtorch {

/// Makes the tensors of one component. Each one's values depend on the seed, the component's name and its key alone.
std::function<at::Tensor(const std::string& key, const TensorPlan& plan)> random_weights(std::string component,
                                                                                         uint64_t seed);

/// Weights for all the parameters of the network that the config describes.
template <class Network, class Config>
ComponentPlan plan_component(const std::string& name, const nlohmann::json& config, const Config& parsed,
                             at::ScalarType type, uint64_t seed) {
  ComponentPlan plan{.name = name, .config = config};
  const Network network(parsed);
  for (const auto& item : network.named_parameters()) plan.tensors[item.key()] = {type, item.value().sizes().vec()};
  plan.make = random_weights(name, seed);
  return plan;
}

}  // namespace sdtorch
