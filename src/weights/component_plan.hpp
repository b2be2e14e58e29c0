// A network's weights on their way into files, each tensor made when its turn comes.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "weights/key_table.hpp"
#include "weights/state_dict.hpp"

namespace sdtorch {

using TensorPlans = std::map<std::string, TensorPlan>;
using MakeTensor = std::function<at::Tensor(const std::string& key)>;

/// A component under the networks' own names.
struct ComponentPlan {
  std::string name{};       ///< unet, vae, text_encoder, …
  nlohmann::json config{};  ///< config.json
  TensorPlans tensors{};
  /// Of the planned shape; what it is read from leaves memory when it is made, or written (release_pages).
  std::function<at::Tensor(const std::string& key, const TensorPlan& plan)> make{};

  at::Tensor tensor(const std::string& key) const { return make(key, tensors.at(key)); }

  KeySet keys() const {
    KeySet keys;
    for (const auto& [key, plan] : tensors) keys.insert(keys.end(), key);
    return keys;
  }
};

/// Bytes of the planned tensor.
int64_t bytes_of(const TensorPlan& plan);

}  // namespace sdtorch
