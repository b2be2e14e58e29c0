#include "diffusion/samplers/unipc_step.hpp"

#include <cmath>

#include "diffusion/prediction.hpp"
#include "diffusion/samplers/dpm_solver_step.hpp"

namespace sdtorch {
namespace {

/// The weights a_k for which sum a_k r_k^(j-1) = b_j, j = 1…count, with b_j = j! phi_{j+1}(z) z^… / B (Zhao et al.
/// 2023, Theorem 3.1). One alone is 1/2, as its authors set it.
std::vector<float> weights(const std::vector<float>& r, float z, float b_of_h) {
  if (r.size() == 1) return {0.5F};
  const auto count = static_cast<int64_t>(r.size());
  const at::Tensor nodes = at::tensor(r);
  std::vector<at::Tensor> rows;
  std::vector<float> b;
  float phi = std::expm1(z) / z - 1, factorial = 1;
  for (int64_t j = 1; j <= count; ++j) {
    rows.push_back(nodes.pow(j - 1));
    b.push_back(phi * factorial / b_of_h);
    factorial *= static_cast<float>(j + 1);
    phi = phi / z - 1 / factorial;
  }
  const at::Tensor solved = at::linalg_solve(at::stack(rows), at::tensor(b)).contiguous();
  return {solved.const_data_ptr<float>(), solved.const_data_ptr<float>() + count};
}

}  // namespace

void settle_unipc_variant(SchedulerConfig& config) {
  if (config.use_flow_sigmas) throw unsupported(config, "use_flow_sigmas", "flow matching is not supported");
  if (config.has_solver_p) throw unsupported(config, "solver_p", "another scheduler as predictor is not supported");
  for (const std::string_view related : {"midpoint", "heun", "logrho"}) {
    if (config.solver_type == related) config.solver_type = "bh2";
  }
  if (config.solver_type != "bh1" && config.solver_type != "bh2") {
    throw unsupported(config, "solver_type", "expected bh1 or bh2, found " + config.solver_type);
  }
  if (config.final_sigmas_type != "zero") return;
  if (!config.predict_x0) {
    throw unsupported(config, "final_sigmas_type", "without predict_x0 unipc cannot end at zero, only at sigma_min");
  }
  if (config.solver_type == "bh1") {
    throw unsupported(config, "solver_type", "bh1 cannot end at zero, only at sigma_min (final_sigmas_type)");
  }
  if (!config.lower_order_final && config.solver_order > 1) {
    throw unsupported(config, "lower_order_final", "unipc needs it to end at zero");
  }
}

at::Tensor unipc_step(const SamplingPlan& plan, size_t i, const at::Tensor& x, const std::vector<at::Tensor>& history,
                      const UnipcStep& step) {
  const bool plus = plan.config.predict_x0;
  const Mixture here = mixture_of_sigma(static_cast<float>(plan.sigmas[i]));
  const Mixture next = mixture_of_sigma(static_cast<float>(plan.sigmas[i + 1]));
  const float lambda = lambda_of(plan.sigmas[i]), h = lambda_of(plan.sigmas[i + 1]) - lambda;
  const float z = plus ? -h : h, phi1 = std::expm1(z), b_of_h = plan.config.solver_type == "bh1" ? z : phi1;
  const at::Tensor& m = history.back();
  std::vector<float> r;
  std::vector<at::Tensor> differences;
  for (size_t k = 1; k < static_cast<size_t>(step.order); ++k) {
    r.push_back((lambda_of(plan.sigmas[i - k]) - lambda) / h);
    differences.push_back((history[history.size() - 1 - k] - m) / r.back());
  }
  if (step.arrived.defined()) {
    r.push_back(1);
    differences.push_back(step.arrived - m);
  }
  const float scale = plus ? next.signal : next.noise;
  at::Tensor moved = (plus ? next.noise / here.noise : next.signal / here.signal) * x - scale * phi1 * m;
  if (r.empty()) return moved;
  const std::vector<float> a = weights(r, z, b_of_h);
  at::Tensor sum = a[0] * differences[0];
  for (size_t k = 1; k < a.size(); ++k) sum = sum + a[k] * differences[k];
  return moved - scale * b_of_h * sum;
}

}  // namespace sdtorch
