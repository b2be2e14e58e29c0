// The samplers' entry points, which the registry lists; each stands with its paper in the file of its name.
#pragma once

#include "sdtorch/diffusion/sampler.hpp"

namespace sdtorch {

using PlanFunction = void(SamplingPlan&);
using SampleFunction = at::Tensor(const Model&, at::Tensor, const SamplingPlan&, SamplerContext&);

PlanFunction plan_ddpm, plan_ddim, plan_pndm, plan_euler, plan_euler_a, plan_heun, plan_lms, plan_dpmpp_2m;
SampleFunction sample_ddpm, sample_ddim, sample_pndm, sample_euler, sample_euler_a, sample_heun, sample_lms,
    sample_dpmpp_2m;

}  // namespace sdtorch
