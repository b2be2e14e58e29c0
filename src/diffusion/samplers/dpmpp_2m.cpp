#include "diffusion/samplers/dpm_solver_plan.hpp"
#include "diffusion/samplers/dpm_solver_step.hpp"
#include "diffusion/samplers/samplers.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {

void plan_dpmpp_2m(SamplingPlan& plan) {
  settle_dpm_variant(plan.config);
  plan_dpm_levels(plan, {.has_lu_lambdas = true, .truncates_cosine = true});
  finish_dpm_levels(plan, final_sigma(plan), predicts_x0(plan.config));
}

/// DPM-Solver++ multistep (Lu et al. 2022b, "DPM-Solver++", Algorithm 2), second order with the midpoint rule unless
/// the config says otherwise; DPM-Solver (Lu et al. 2022a) where it says dpmsolver.
at::Tensor sample_dpmpp_2m(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  return sample_dpm_multistep(model, std::move(x), plan, context);
}

}  // namespace sdtorch
