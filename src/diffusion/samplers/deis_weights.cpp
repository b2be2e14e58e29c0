#include "diffusion/samplers/deis_weights.hpp"

#include <cmath>

#include "diffusion/prediction.hpp"

namespace sdtorch {
namespace {

/// noise / signal at step i's level, with the rounding that fp32 gives it.
float rho_at(const SamplingPlan& plan, size_t i) {
  const Mixture level = mixture_of_sigma(static_cast<float>(plan.sigmas[i]));
  return level.noise / level.signal;
}

/// Antiderivative at rho of the polynomial of degree 1 in log rho that is 1 at b and 0 at c.
float integral(float rho, float b, float c) {
  return rho * (-std::log(c) + std::log(rho) - 1) / (std::log(b) - std::log(c));
}

/// Likewise of degree 2, 1 at b and 0 at c and d.
float integral(float rho, float b, float c, float d) {
  const float x = std::log(rho), log_b = std::log(b), log_c = std::log(c), log_d = std::log(d);
  const float numerator = rho * (log_c * (log_d - x + 1) - log_d * x + log_d + x * x - 2 * x + 2);
  return numerator / ((log_b - log_c) * (log_b - log_d));
}

}  // namespace

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

std::vector<float> deis_weights(const SamplingPlan& plan, size_t i, size_t order) {
  const float to = rho_at(plan, i + 1), a = rho_at(plan, i), b = rho_at(plan, i - 1);
  if (order == 2) return {integral(to, a, b) - integral(a, a, b), integral(to, b, a) - integral(a, b, a)};
  const float c = rho_at(plan, i - 2);
  return {integral(to, a, b, c) - integral(a, a, b, c), integral(to, b, c, a) - integral(a, b, c, a),
          integral(to, c, a, b) - integral(a, c, a, b)};
}

}  // namespace sdtorch
