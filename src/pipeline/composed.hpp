// Prompts composed of several: what leads to them is a sum.
#pragma once

#include <functional>
#include <vector>

#include "pipeline/conditions.hpp"

namespace sdtorch {

/// For a list of what leads away, u, and of parts c_1 … c_n: what leads to the prompt is u + Σ w_i (c_i - u) (Liu et
/// al. 2022, "Compositional Visual Generation", eq. 11), to which `rule` guides with u; without a rule, and where
/// `guides` says no, it is taken as it is. weights: [picture][part]; parts that a picture lacks count for nothing.
/// device: the outputs'.
CombinationRule sums_of_prompts(const std::vector<std::vector<double>>& weights, at::Device device,
                                std::function<bool(const DenoiserCall&)> guides, CombinationRule rule);

}  // namespace sdtorch
