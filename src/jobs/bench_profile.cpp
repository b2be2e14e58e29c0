#include "jobs/bench_profile.hpp"

namespace sdtorch {

StageProfile summarize(double seconds, std::span<const LayerCost> layers) {
  StageProfile stage{.seconds = seconds};
  for (const std::string_view name : layer_kind_names) stage.kinds.push_back({.kind = name});
  double rest = seconds;
  for (const LayerCost& layer : layers) {
    KindCost& kind = stage.kinds[static_cast<size_t>(layer.kind)];
    const double flops = layer.product.flops() * static_cast<double>(layer.calls);
    kind.calls += layer.calls;
    kind.flops += flops;
    kind.seconds += layer.seconds;
    stage.flops += flops;
    rest -= layer.seconds;
  }
  stage.kinds.push_back({.kind = "rest", .seconds = rest});
  return stage;
}

}  // namespace sdtorch
