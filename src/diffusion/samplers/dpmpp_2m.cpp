#include "diffusion/samplers/dpm_solver.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {
namespace {

void plan_dpmpp_2m(SamplingPlan& plan) {
  settle_dpm_variant(plan.config);
  plan_dpm_levels(plan, {.has_lu_lambdas = true, .truncates_cosine = true});
  finish_dpm_levels(plan, final_sigma(plan), predicts_x0(plan.config));
}

void plan_dpmpp_2m_sde(SamplingPlan& plan) {
  plan_dpmpp_2m(plan);
  if (plan.config.algorithm_type == "sde-dpmsolver" && plan.config.solver_order > 2) {
    throw unsupported(plan.config, "solver_order", "algorithm_type sde-dpmsolver has no order above 2");
  }
}

}  // namespace

/// DPM-Solver++ multistep (Lu et al. 2022b, "DPM-Solver++", Algorithm 2), second order with the midpoint rule unless
/// the config says otherwise; DPM-Solver (Lu et al. 2022a) where it says dpmsolver.
extern constinit const Sampler dpmpp_2m_sampler{
    .name = "dpm++2m",
    .label = "DPM++ 2M",
    .aliases = {"dpmpp2m", "kdpmpp2m", "kdpm++2m", "dpmsolver++", "dpmsolvermultistep"},
    .diffusers_class = "DPMSolverMultistepScheduler",
    .has_schedules = true,
    .reads_schedule_keys = true,
    .plan = plan_dpmpp_2m,
    .sample = sample_dpm_multistep,
};

/// SDE-DPM-Solver++ multistep (Lu et al. 2022b, section 5 and eq. 14): the same integral for the reverse SDE, whose
/// noise is drawn anew at each step, at the last too, where it has no weight.
extern constinit const Sampler dpmpp_2m_sde_sampler{
    .name = "dpm++2m_sde",
    .label = "DPM++ 2M SDE",
    .aliases = {"dpmpp2msde", "kdpmpp2msde", "kdpm++2msde", "dpmpp2msdegpu"},
    .diffusers_class = "DPMSolverMultistepScheduler",
    .has_schedules = true,
    .reads_schedule_keys = true,
    .sde = true,
    .plan = plan_dpmpp_2m_sde,
    .sample = sample_dpm_multistep,
};

}  // namespace sdtorch
