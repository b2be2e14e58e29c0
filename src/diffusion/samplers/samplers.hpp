// The samplers' entry points, which the registry lists; each stands with its paper in the file of its name.
#pragma once

#include "sdtorch/diffusion/sampler.hpp"

namespace sdtorch {

using PlanFunction = void(SamplingPlan&);
using SampleFunction = at::Tensor(const Model&, at::Tensor, const SamplingPlan&, SamplerContext&);

PlanFunction plan_ddim, plan_euler;
SampleFunction sample_ddim, sample_euler;

}  // namespace sdtorch
