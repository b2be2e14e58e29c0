// Where PNDM evaluates the network.
#pragma once

#include "diffusion/sampler.hpp"

namespace sdtorch {

/// How many steps of four network calls each come first, unless skip_prk_steps leaves them out.
constexpr size_t runge_kutta_steps = 3;

/// Training timesteps that one step goes back, whatever the spacing.
int64_t pndm_stride(const SamplingPlan& plan);

}  // namespace sdtorch
