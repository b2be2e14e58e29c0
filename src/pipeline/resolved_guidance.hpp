// What a request's guidance flags mean, and whether a model can be guided so.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "diffusion/sampler.hpp"
#include "networks/freeu.hpp"
#include "sdtorch/request.hpp"

namespace sdtorch {

struct ModelDescription;

/// Where classifier-free guidance applies (Kynkäänniemi et al. 2024, "Applying Guidance in a Limited Interval Improves
/// Sample and Distribution Quality in Diffusion Models"): outside it the conditional model alone is followed.
struct CfgInterval {
  bool of_steps = false;  ///< shares of the steps, else noise levels
  double low = 0, high = 0;

  /// Noise levels: low < sigma <= high. Shares: int(low · steps) <= step < int(high · steps).
  bool holds(const DenoiserCall& call) const;
};

/// `LO,HI`, noise levels, or `LO%,HI%`. Throws ErrorKind::usage naming --cfg-interval.
CfgInterval parse_cfg_interval(const std::string& text);

struct ResolvedGuidance {
  std::optional<CfgInterval> interval{};
  std::optional<FreeU> freeu{};
  std::vector<std::string> perturbed{};  ///< keys of self-attention layers
  std::optional<int64_t> target_class{};
};

/// What needs no model. Throws ErrorKind::usage naming the flag.
void check_guidance(const Request& request);

/// sampler: that of the plan. Throws ErrorKind::usage naming the flag that the model or the sampler cannot heed.
ResolvedGuidance resolve_guidance(const ModelDescription& model, const Request& request, const Sampler& sampler);

/// What of it a refiner heeds: it has other layers.
ResolvedGuidance for_refiner(const ResolvedGuidance& guidance);

}  // namespace sdtorch
