// Registering a layer under the whole key that a checkpoint stores it at.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <string>
#include <string_view>
#include <utility>

namespace sdtorch {

/// The module at a dotted key's parent, e.g. `ff.net` for `ff.net.2`; plain modules are made on the way where none
/// stands yet, since they only give the key its parts. Returns it and the key's last part.
std::pair<torch::nn::Module*, std::string> attach_point(torch::nn::Module& root, std::string_view key);

/// Registers `layer` below `root` under a dotted key such as `to_out.0`, and returns it.
template <typename Holder>
Holder attach(torch::nn::Module& root, std::string_view key, Holder layer) {
  auto [parent, name] = attach_point(root, key);
  parent->register_module(std::move(name), layer.ptr());
  return layer;
}

}  // namespace sdtorch
