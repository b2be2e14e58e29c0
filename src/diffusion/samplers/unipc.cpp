#include <algorithm>
#include <cmath>

#include "diffusion/samplers/dpm_solver.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {
namespace {

/// The weights a_k for which sum a_k r_k^(j-1) = b_j, j = 1…count, with b_j = j! phi_{j+1}(z) z^… / B (Zhao et al.
/// 2023, Theorem 3.1). One alone is 1/2, as its authors set it.
std::vector<float> unipc_weights(const std::vector<float>& r, float z, float b_of_h) {
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

/// Settles solver_type, names of related solvers included, as diffusers maps them. Throws ErrorKind::model for what is
/// not supported, and for combinations that end in numbers that are none.
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

struct UnipcStep {
  int64_t order = 1;     ///< 1…history's length
  at::Tensor arrived{};  ///< the prediction where the step ends, to correct it by; undefined: predict
};

/// Step `i` from x, with the predictions up to there in `history` (newest last): UniP, or UniC where `arrived` is
/// defined (Zhao et al. 2023, eq. 3 and 9, with B(h) = h or e^h - 1 as solver_type says).
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
  const std::vector<float> a = unipc_weights(r, z, b_of_h);
  at::Tensor sum = a[0] * differences[0];
  for (size_t k = 1; k < a.size(); ++k) sum = sum + a[k] * differences[k];
  return moved - scale * b_of_h * sum;
}

void plan_unipc(SamplingPlan& plan) {
  settle_unipc_variant(plan.config);
  plan_dpm_levels(plan, {.clips_lambda = false});
  const bool repeats = plan.schedule->bounded && plan.config.final_sigmas_type == "sigma_min";
  const bool ends_with_order_1 = plan.config.lower_order_final || plan.config.solver_order == 1;
  const bool ends_at_zero = plan.config.predict_x0 && ends_with_order_1 && plan.config.solver_type == "bh2";
  finish_dpm_levels(plan, repeats ? plan.sigmas.back() : final_sigma(plan), ends_at_zero);
}

/// UniPC (Zhao et al. 2023, Algorithms 1 and 2): each prediction is first used to correct the step that led to it, and
/// then, with those before it, to make the next one. One network call a step. Where another x was put in a step's
/// stead, the correction is added to that one.
at::Tensor sample_unipc(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  SamplerRun run(model, plan, context);
  const SchedulerConfig& config = plan.config;
  std::vector<at::Tensor> history;  // newest last
  at::Tensor before, arrived;       // x where the last step began and where it ended
  int64_t order = 0;
  for (size_t i = 0; i < run.steps(); ++i) {
    const auto step = static_cast<int64_t>(run.place(i));
    const Evaluation said = run.evaluate(i, x, run.level(i));
    const at::Tensor m = config.predict_x0 ? thresholded(config, said.x0) : said.eps;
    if (i > 0 && std::ranges::find(config.disable_corrector, step - 1) == config.disable_corrector.end()) {
      const at::Tensor corrected = unipc_step(plan, i - 1, before, history, {.order = order, .arrived = m});
      x = x.is_same(arrived) ? corrected : x + (corrected - arrived);
    }
    remember(history, m, static_cast<size_t>(config.solver_order));
    const int64_t left = config.lower_order_final ? plan.steps - step : config.solver_order;
    order = std::min({config.solver_order, left, static_cast<int64_t>(i) + 1});
    before = x;
    arrived = unipc_step(plan, i, before, history, {.order = order});
    x = run.finish_step(i, arrived, said.x0);
  }
  return x;
}

}  // namespace

extern constinit const Sampler unipc_sampler{
    .name = "unipc",
    .label = "UniPC",
    .aliases = {"unipcbh2", "kunipc", "unipcmultistep"},
    .diffusers_class = "UniPCMultistepScheduler",
    .has_schedules = true,
    .reads_schedule_keys = true,
    .plan = plan_unipc,
    .sample = sample_unipc,
};

}  // namespace sdtorch
