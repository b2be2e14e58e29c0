// Where a stage's seconds went, by kind of layer, and what the machine's own rate would make of them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/profile.hpp"

namespace sdtorch {

struct KindCost {
  std::string_view kind{};  ///< of layer_kind_names, or `rest`
  int64_t calls = 0;
  double flops = 0;  ///< of its matrix products alone
  double seconds = 0;
};

struct StageProfile {
  double seconds = 0;             ///< of the whole stage
  double flops = 0;               ///< of all its matrix products
  std::vector<KindCost> kinds{};  ///< in the order of LayerKind, then the rest; their seconds sum to the stage's
};

struct BenchProfile {
  StageProfile step{};      ///< the step of median length among those after the first
  StageProfile vae{};       ///< latents → pictures
  double product_rate = 0;  ///< operations a second: measure_product_rate of the step's layers

  /// The seconds that a step would take if all its products ran at that rate and nothing else took any.
  double floor_s() const { return product_rate > 0 ? step.flops / product_rate : 0; }
};

/// seconds: of the stage whose layers these are.
StageProfile summarize(double seconds, std::span<const LayerCost> layers);

}  // namespace sdtorch
