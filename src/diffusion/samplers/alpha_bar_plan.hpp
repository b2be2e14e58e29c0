// What DDPM, DDIM and PNDM share: whole timesteps in the variance-preserving frame.
#pragma once

#include <span>

#include "diffusion/sampler.hpp"

namespace sdtorch {

/// alpha_bar after the last step: 1, or without set_alpha_to_one that of the first training timestep.
float final_alpha_bar(const SamplingPlan& plan);

/// alpha_bar of a training timestep; below 0, the final one.
float alpha_bar_at(const SamplingPlan& plan, int64_t timestep);

/// Checks the plan's timesteps, and fills its sigmas from those at which its steps begin and from `final_alpha_bar`.
/// Throws ErrorKind::usage for timesteps beyond the training ones, ErrorKind::model where the first alpha_bar is 0 and
/// the network predicts noise, of which nothing can be told there.
void plan_alpha_bars(SamplingPlan& plan, std::span<const double> step_timesteps, float final_alpha_bar);

}  // namespace sdtorch
