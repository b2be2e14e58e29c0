// The samplers' entry points, which the registry lists; each stands with its paper in the file of its name.
#pragma once

#include "diffusion/sampler.hpp"

namespace sdtorch {

using PlanFunction = void(SamplingPlan&);
using SampleFunction = at::Tensor(const Model&, at::Tensor, const SamplingPlan&, SamplerContext&);

PlanFunction plan_ddpm, plan_ddim, plan_pndm, plan_euler, plan_euler_a, plan_heun, plan_lms, plan_dpm2, plan_dpm2_a,
    plan_dpmpp_2m, plan_dpmpp_2m_sde, plan_dpmpp_2s, plan_dpmpp_2s_a, plan_dpmpp_sde, plan_unipc, plan_deis, plan_ipndm,
    plan_restart, plan_lcm, plan_tcd;
SampleFunction sample_ddpm, sample_ddim, sample_pndm, sample_euler, sample_euler_a, sample_heun, sample_lms,
    sample_dpm2, sample_dpm2_a, sample_dpmpp_2m, sample_dpmpp_2m_sde, sample_dpmpp_2s, sample_dpmpp_2s_a,
    sample_dpmpp_sde, sample_unipc, sample_deis, sample_ipndm, sample_restart, sample_lcm, sample_tcd;

}  // namespace sdtorch
