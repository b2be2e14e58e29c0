// How a layer is held: by pointer, and called like a function.
#pragma once

#include <torch/nn/pimpl.h>

#include <utility>

#include "core/cancel.hpp"

namespace sdtorch {

/// LibTorch's holder, whose call is no const one: ours is, so that a network's forward is const down to its leaves and
/// several threads may run it at once. Each call is a place to leave at (cancel.hpp).
template <typename Impl>
class Layer : public torch::nn::ModuleHolder<Impl> {
 public:
  using torch::nn::ModuleHolder<Impl>::ModuleHolder;

  template <typename... Arguments>
  decltype(auto) operator()(Arguments&&... arguments) const {
    leave_if_cancelled();
    return this->get()->forward(std::forward<Arguments>(arguments)...);
  }
};

}  // namespace sdtorch
