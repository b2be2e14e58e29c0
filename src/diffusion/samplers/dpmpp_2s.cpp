#include <algorithm>
#include <vector>

#include "diffusion/samplers/dpm_solver_plan.hpp"
#include "diffusion/samplers/dpm_solver_step.hpp"
#include "diffusion/samplers/dpmpp_2s_orders.hpp"
#include "diffusion/samplers/samplers.hpp"
#include "diffusion/samplers/step.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {

void plan_dpmpp_2s(SamplingPlan& plan) {
  settle_dpm_variant(plan.config);
  if (plan.config.algorithm_type == "sde-dpmsolver") {
    throw unsupported(plan.config, "algorithm_type", "the singlestep solver has no sde-dpmsolver");
  }
  if (plan.config.thresholding && !predicts_x0(plan.config)) {
    throw unsupported(plan.config, "thresholding", "the singlestep solver has it for dpmsolver++ alone");
  }
  plan.config.timestep_spacing = Spacing::linspace;
  plan_dpm_levels(plan, {});
  finish_dpm_levels(plan, final_sigma(plan), predicts_x0(plan.config));
}

/// DPM-Solver++ singlestep (Lu et al. 2022b, Algorithm 1, and 2022a, Algorithm 4): groups of steps of order 1, 2, …,
/// each from the group's own start, so that the last of them is the solver's step and those before it its inner points.
at::Tensor sample_dpmpp_2s(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  const SchedulerConfig& config = plan.config;
  const std::vector<int64_t> orders = singlestep_orders(plan);
  const bool heun = config.solver_type == "heun";
  at::Tensor start;
  std::vector<at::Tensor> m;  // of the group, its start's first
  for (size_t i = 0; i < plan.timesteps.size(); ++i) {
    const at::Tensor output = model(x, plan.timesteps[i]);
    const DpmPrediction predicted = dpm_prediction(config, output, x, plan.sigmas[i]);
    const size_t order = std::min(static_cast<size_t>(orders[plan.earlier.size() + i]), m.size() + 1);
    if (order == 1) start = x, m.clear();
    m.push_back(predicted.integrated);
    const size_t first = i + 1 - order;
    const DpmTerms terms = dpm_terms(config, plan.sigmas[first], plan.sigmas[i + 1]);
    const float lambda = lambda_of(plan.sigmas[first]);
    const auto r = [&](size_t k) { return (lambda_of(plan.sigmas[first + k]) - lambda) / terms.h; };
    x = terms.kept * start - terms.scale * terms.phi1 * m[0];
    if (order == 2) x = x - terms.scale * (heun ? terms.phi2 : 0.5F * terms.phi1) * (1 / r(1) * (m[1] - m[0]));
    if (order == 3) {
      const at::Tensor near = 1 / r(1) * (m[1] - m[0]), far = 1 / r(2) * (m[2] - m[0]);
      const at::Tensor slope = heun ? (r(2) * near - r(1) * far) / (r(2) - r(1)) : far;
      x = x - terms.scale * terms.phi2 * slope;
      if (heun) x = x - terms.scale * terms.phi3 * (2 * (far - near) / (r(2) - r(1)));
    }
    if (config.algorithm_type == "sde-dpmsolver++") x = x + terms.noise * unit_noise(context, x);
    report(context, plan, i, plan.timesteps[i], x, predicted.x0);
  }
  return x;
}

}  // namespace sdtorch
