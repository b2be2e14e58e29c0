// Keys and values of a context, made once for all calls of a network that see it: the text of a picture is the same at
// every step.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <utility>

namespace sdtorch {

struct KeysAndValues {
  at::Tensor keys{}, values{};  ///< [B, S, inner]
};

/// Those of one context by one network, for as long as neither changes. Not for two threads at once.
class KeptKeys {
 public:
  /// A layer's, which `make` makes of the context where they are not there yet.
  template <typename Make>
  KeysAndValues of(const void* layer, const Make& make) {
    const auto kept = layers_.find(layer);
    return kept != layers_.end() ? kept->second : layers_.emplace(layer, make()).first->second;
  }

 private:
  std::map<const void*, KeysAndValues> layers_{};
};

}  // namespace sdtorch
