// The schedules' entry points, which the registry lists; each stands with its source in the file of its name.
#pragma once

#include "diffusion/schedules.hpp"

namespace sdtorch {

using LevelsFunction = std::vector<double>(const LevelRange&);

LevelsFunction karras_levels, exponential_levels, beta_levels, sgm_uniform_levels, simple_levels,
    align_your_steps_levels, normal_levels, kl_optimal_levels, ddim_uniform_levels;

}  // namespace sdtorch
