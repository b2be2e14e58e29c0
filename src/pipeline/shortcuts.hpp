// What a request spares of the network's work, at the price of another picture, and whether a model can be spared so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "sdtorch/request.hpp"

namespace sdtorch {

struct ModelDescription;

/// See DeepCache.
struct DeepCaching {
  int64_t interval = 1;  ///< each so many calls one is whole
  size_t branch = 0;
};

/// See TokenMerging.
struct Merging {
  double ratio = 0;
  int64_t coarsest = 1;
};

struct Shortcuts {
  std::optional<DeepCaching> deep_cache{};
  std::optional<Merging> merging{};
  std::optional<int64_t> gate_step{};  ///< from this step of the run on a ContextGate is closed and nothing guides
};

/// What needs no model. Throws ErrorKind::usage naming the flag.
void check_shortcuts(const Request& request);

/// steps: those that are drawn. refiner: nullptr where there is none. Throws ErrorKind::usage naming the flag that the
/// models cannot heed.
Shortcuts resolve_shortcuts(const ModelDescription& model, const ModelDescription* refiner, const Request& request,
                            int64_t steps);

}  // namespace sdtorch
