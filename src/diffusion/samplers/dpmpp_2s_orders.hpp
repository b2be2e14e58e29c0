// In which orders the singlestep DPM-Solver takes its steps.
#pragma once

#include <cstdint>
#include <vector>

#include "diffusion/sampler.hpp"

namespace sdtorch {

/// One order a step of the whole run: 1, 2, …, solver_order again and again, and lower ones at the end where the steps
/// do not divide or where the config ends it at level 0 (Lu et al. 2022a, section 3.3).
std::vector<int64_t> singlestep_orders(const SamplingPlan& plan);

}  // namespace sdtorch
