// What an adapter changes in a model's weights.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace sdtorch {

/// What one adapter does to one tensor of a network. Several adapters of one tensor add up: each takes its difference
/// from the weight as the model's file has it, not from what another adapter made of it.
struct WeightChange {
  std::string component{};  ///< unet, text_encoder, text_encoder_2
  std::string key{};        ///< the network's own, "….to_q.weight"
  /// weight: fp32, of the key's shape; scale: the user's weight, any finite number → fp32 of the same shape, what is to
  /// be added to it.
  std::function<at::Tensor(const at::Tensor& weight, double scale)> difference{};
};

/// A model's tensors as an adapter finds its places among them: component → key → shape.
using WeightShapes = std::map<std::string, std::map<std::string, std::vector<int64_t>>>;

}  // namespace sdtorch
