#include <cmath>

#include "diffusion/noise_schedule.hpp"
#include "diffusion/samplers/dpm_solver.hpp"

namespace sdtorch {
namespace {

/// noise / signal at step i's level, with the rounding that fp32 gives it.
float rho_at(const SamplingPlan& plan, size_t i) {
  const Mixture level = mixture_of_sigma(static_cast<float>(plan.sigmas[i]));
  return level.noise / level.signal;
}

/// Antiderivative at rho of the polynomial of degree 1 in log rho that is 1 at b and 0 at c.
float log_integral(float rho, float b, float c) {
  return rho * (-std::log(c) + std::log(rho) - 1) / (std::log(b) - std::log(c));
}

/// Likewise of degree 2, 1 at b and 0 at c and d.
float log_integral(float rho, float b, float c, float d) {
  const float x = std::log(rho), log_b = std::log(b), log_c = std::log(c), log_d = std::log(d);
  const float numerator = rho * (log_c * (log_d - x + 1) - log_d * x + log_d + x * x - 2 * x + 2);
  return numerator / ((log_b - log_c) * (log_b - log_d));
}

/// Settles algorithm_type, names of related solvers included, as diffusers maps them. Throws ErrorKind::model for what
/// is not supported.
void settle_deis_variant(SchedulerConfig& config) {
  if (config.use_flow_sigmas) throw unsupported(config, "use_flow_sigmas", "flow matching is not supported");
  const std::string& algorithm = config.algorithm_type;
  if (algorithm != "deis" && algorithm != "dpmsolver" && algorithm != "dpmsolver++") {
    throw unsupported(config, "algorithm_type", "expected deis, found " + algorithm);
  }
  bool known = false;
  for (const std::string_view solver : {"logrho", "midpoint", "heun", "bh1", "bh2"}) {
    known = known || config.solver_type == solver;
  }
  if (!known) throw unsupported(config, "solver_type", "expected logrho, found " + config.solver_type);
}

/// For step i and order 2 or 3, newest prediction first: the integral over rho, from the step's level to the next, of
/// the Lagrange polynomials in log rho through the last levels (Zhang & Chen 2022, eq. 15).
std::vector<float> deis_weights(const SamplingPlan& plan, size_t i, size_t order) {
  const float to = rho_at(plan, i + 1), a = rho_at(plan, i), b = rho_at(plan, i - 1);
  if (order == 2)
    return {log_integral(to, a, b) - log_integral(a, a, b), log_integral(to, b, a) - log_integral(a, b, a)};
  const float c = rho_at(plan, i - 2);
  return {log_integral(to, a, b, c) - log_integral(a, a, b, c), log_integral(to, b, c, a) - log_integral(a, b, c, a),
          log_integral(to, c, a, b) - log_integral(a, c, a, b)};
}

void plan_deis(SamplingPlan& plan) {
  settle_deis_variant(plan.config);
  plan_dpm_levels(plan, {.clips_lambda = false});
  finish_dpm_levels(plan, plan.schedule->bounded ? plan.sigmas.back() : sigma_of(plan.alpha_bar.front()), false);
}

/// DEIS (Zhang & Chen 2022, "Fast Sampling of Diffusion Models with Exponential Integrator", Algorithm 1) in log rho:
/// the noise is interpolated over the logarithm of the level by the last predictions, and integrated exactly. It ends
/// at the model's smallest level, since the logarithm of 0 does not exist.
at::Tensor sample_deis(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  SamplerRun run(model, plan, context);
  std::vector<at::Tensor> history;  // of eps, newest last
  for (size_t i = 0; i < run.steps(); ++i) {
    const Mixture here = run.level(i), next = run.level(i + 1);
    const at::Tensor x0 = thresholded(plan.config, run.evaluate(i, x, here).x0);
    remember(history, (x - here.signal * x0) / here.noise, 3);
    const auto order = static_cast<size_t>(multistep_order(plan, i, false));
    if (order == 1) {
      const float h = lambda_of(run.sigma(i + 1)) - lambda_of(run.sigma(i));
      x = next.signal / here.signal * x - next.noise * (std::exp(h) - 1) * history.back();
    } else {
      const std::vector<float> weights = deis_weights(plan, i, order);
      at::Tensor moved = x / here.signal;
      for (size_t k = 0; k < order; ++k) moved = moved + weights[k] * history[history.size() - 1 - k];
      x = next.signal * moved;
    }
    x = run.finish_step(i, x, x0);
  }
  return x;
}

}  // namespace

extern constinit const Sampler deis_sampler{
    .name = "deis",
    .label = "DEIS",
    .aliases = {"kdeis", "deismultistep"},
    .diffusers_class = "DEISMultistepScheduler",
    .has_schedules = true,
    .reads_schedule_keys = true,
    .supports_zero_snr = false,
    .plan = plan_deis,
    .sample = sample_deis,
};

}  // namespace sdtorch
