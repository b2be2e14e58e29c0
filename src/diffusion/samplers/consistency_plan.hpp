// Where LCM and TCD evaluate the network: among the timesteps that the model was distilled on.
#pragma once

#include "diffusion/sampler.hpp"

namespace sdtorch {

/// The timesteps of the whole run, one a step.
std::vector<double> consistency_timesteps(const SamplingPlan& plan);

/// Fills the plan with timesteps spread over original_inference_steps whole ones, the noisiest first (Luo et al. 2023,
/// section 4.3), and their sigmas; final_alpha_bar: after the last step.
/// Throws ErrorKind::usage for more steps than those, ErrorKind::model for more of those than training timesteps.
void plan_consistency(SamplingPlan& plan, float final_alpha_bar);

}  // namespace sdtorch
