#include "diffusion/samplers/dpm_solver_plan.hpp"
#include "diffusion/samplers/dpm_solver_step.hpp"
#include "diffusion/samplers/samplers.hpp"

namespace sdtorch {

void plan_dpmpp_2m_sde(SamplingPlan& plan) {
  plan_dpmpp_2m(plan);
  if (plan.config.algorithm_type == "sde-dpmsolver" && plan.config.solver_order > 2) {
    throw unsupported(plan.config, "solver_order", "algorithm_type sde-dpmsolver has no order above 2");
  }
}

/// SDE-DPM-Solver++ multistep (Lu et al. 2022b, section 5 and eq. 14): the same integral for the reverse SDE, whose
/// noise is drawn anew at each step, at the last too, where it has no weight.
at::Tensor sample_dpmpp_2m_sde(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  return sample_dpm_multistep(model, std::move(x), plan, context);
}

}  // namespace sdtorch
