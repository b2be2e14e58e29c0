#include <algorithm>

#include "diffusion/samplers/dpm_solver.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {
namespace {

/// One order a step of the whole run: 1, 2, …, solver_order again and again, and lower ones at the end where the steps
/// do not divide or where the config ends it at level 0 (Lu et al. 2022a, section 3.3).
std::vector<int64_t> singlestep_orders(const SamplingPlan& plan) {
  const SchedulerConfig& config = plan.config;
  const int64_t order = config.solver_order, steps = plan.steps;
  const bool ends_at_zero = plan.listed.empty() ? config.final_sigmas_type == "zero" : plan.listed.back() == 0;
  const bool lower = config.lower_order_final || ends_at_zero || steps % order != 0;
  std::vector<int64_t> orders;
  for (int64_t i = 0; i < steps; ++i) orders.push_back(i % order + 1);
  if (lower && order == 3 && steps % 3 == 0) orders.back() = 1;
  if (lower && order == 2 && steps % 2 == 0) orders.back() = 1;
  if (ends_at_zero) orders.back() = 1;
  return orders;
}

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

/// Step `i`, the last of `order` from the group's start, with m its predictions, the start's first.
at::Tensor singlestep(const SamplingPlan& plan, size_t i, const at::Tensor& start, const std::vector<at::Tensor>& m) {
  const bool heun = plan.config.solver_type == "heun";
  const size_t order = m.size(), first = i + 1 - order;
  const DpmTerms terms = dpm_terms(plan.config, plan.sigmas[first], plan.sigmas[i + 1]);
  const float lambda = lambda_of(plan.sigmas[first]);
  const auto r = [&](size_t k) { return (lambda_of(plan.sigmas[first + k]) - lambda) / terms.h; };
  at::Tensor x = terms.kept * start - terms.scale * terms.phi1 * m[0];
  if (order == 2) x = x - terms.scale * (heun ? terms.phi2 : 0.5F * terms.phi1) * (1 / r(1) * (m[1] - m[0]));
  if (order == 3) {
    const at::Tensor near = 1 / r(1) * (m[1] - m[0]), far = 1 / r(2) * (m[2] - m[0]);
    const at::Tensor slope = heun ? (r(2) * near - r(1) * far) / (r(2) - r(1)) : far;
    x = x - terms.scale * terms.phi2 * slope;
    if (heun) x = x - terms.scale * terms.phi3 * (2 * (far - near) / (r(2) - r(1)));
  }
  return x;
}

/// DPM-Solver++ singlestep (Lu et al. 2022b, Algorithm 1, and 2022a, Algorithm 4): groups of steps of order 1, 2, …,
/// each from the group's own start, so that the last of them is the solver's step and those before it its inner points.
/// Where another x was put in an inner point's stead, the start is moved so that it would lead there.
at::Tensor sample_dpmpp_2s(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  SamplerRun run(model, plan, context);
  const SchedulerConfig& config = plan.config;
  const std::vector<int64_t> orders = singlestep_orders(plan);
  at::Tensor start;
  std::vector<at::Tensor> m;  // of the group, its start's first
  for (size_t i = 0; i < run.steps(); ++i) {
    const DpmPrediction predicted = dpm_prediction(config, run.evaluate(i, x, run.level(i)), x, run.level(i));
    const size_t order = std::min(static_cast<size_t>(orders[run.place(i)]), m.size() + 1);
    if (order == 1) start = x, m.clear();
    m.push_back(predicted.integrated);
    at::Tensor end = singlestep(plan, i, start, m);
    const DpmTerms terms = dpm_terms(config, plan.sigmas[i + 1 - order], plan.sigmas[i + 1]);
    if (config.algorithm_type == "sde-dpmsolver++") end = end + terms.noise * run.unit_noise(end);
    x = run.finish_step(i, end, predicted.x0);
    if (!x.is_same(end)) start = start + (x - end) / terms.kept;
  }
  return x;
}

}  // namespace

extern constinit const Sampler dpmpp_2s_sampler{
    .name = "dpm++2s",
    .label = "DPM++ 2S",
    .aliases = {"dpmpp2s", "kdpmpp2s", "dpmsolversinglestep"},
    .diffusers_class = "DPMSolverSinglestepScheduler",
    .defaults = {.lower_order_final = false},
    .uses_spacing = false,
    .has_schedules = true,
    .reads_schedule_keys = true,
    .supports_zero_snr = false,
    .plan = plan_dpmpp_2s,
    .sample = sample_dpmpp_2s,
};

}  // namespace sdtorch
