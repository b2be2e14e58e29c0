// What DDPM, DDIM, PNDM, LCM and TCD share: whole timesteps in the variance-preserving frame.
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

/// Timesteps of a whole run of LCM or TCD, one a step: among those that the model was distilled on.
std::vector<double> consistency_timesteps(const SamplingPlan& plan);

/// Fills the plan with timesteps spread over original_inference_steps whole ones, the noisiest first (Luo et al. 2023,
/// section 4.3), and their sigmas; final_alpha_bar: after the last step.
/// Throws ErrorKind::usage for more steps than those, ErrorKind::model for more of those than training timesteps.
void plan_consistency(SamplingPlan& plan, float final_alpha_bar);

}  // namespace sdtorch
