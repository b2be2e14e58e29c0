#include <cmath>
#include <vector>

#include "dpm_solver_plan.hpp"
#include "samplers.hpp"
#include "sdtorch/diffusion/prediction.hpp"
#include "step.hpp"

namespace sdtorch {
namespace {

/// log(signal / noise), half the logarithm of the signal-to-noise ratio.
float lambda_of(double sigma) {
  const Mixture at = mixture_of_sigma(static_cast<float>(sigma));
  return std::log(at.signal) - std::log(at.noise);
}

/// Order of step i of n: lower while the history is short, and at the end where the config asks for it.
int64_t order_at(const SchedulerConfig& config, int64_t i, int64_t n) {
  const bool few = config.lower_order_final && n < 15;
  if (i == n - 1 && (config.euler_at_final || few || config.final_sigmas_type == "zero")) return 1;
  const int64_t most = i == n - 2 && few ? 2 : 3;
  return std::min({config.solver_order, i + 1, most});
}

/// Step i from the predictions m (newest last): x0 with DPM-Solver++, eps with DPM-Solver. In both the integral of the
/// prediction over lambda is exact for a Taylor polynomial of the order (Lu et al. 2022b, Algorithm 2; 2022a, eq. 3.6).
at::Tensor step(const SamplingPlan& plan, size_t i, const at::Tensor& x, const std::vector<at::Tensor>& m) {
  const Mixture here = mixture_of_sigma(static_cast<float>(plan.sigmas[i]));
  const Mixture next = mixture_of_sigma(static_cast<float>(plan.sigmas[i + 1]));
  const auto lambda = [&](size_t k) { return lambda_of(plan.sigmas[k]); };
  const float h = lambda(i + 1) - lambda(i);
  const bool plus = predicts_x0(plan.config);
  const float z = plus ? -h : h, scale = plus ? next.signal : next.noise;
  const float phi1 = std::exp(z) - 1, phi2 = phi1 / z - 1, phi3 = (phi1 - z) / (z * z) - 0.5F;
  const at::Tensor kept = (plus ? next.noise / here.noise : next.signal / here.signal) * x - scale * phi1 * m.back();
  const int64_t order = order_at(plan.config, static_cast<int64_t>(i), std::ssize(plan.timesteps));
  if (order == 1) return kept;
  const float r0 = (lambda(i) - lambda(i - 1)) / h;
  const at::Tensor slope = 1 / r0 * (m.back() - m[m.size() - 2]);
  if (order == 2) return kept - scale * (plan.config.solver_type == "heun" ? phi2 : 0.5F * phi1) * slope;
  const float r1 = (lambda(i - 1) - lambda(i - 2)) / h;
  const at::Tensor bend = slope - 1 / r1 * (m[m.size() - 2] - m[m.size() - 3]);
  return kept - scale * phi2 * (slope + r0 / (r0 + r1) * bend) - scale * phi3 * (1 / (r0 + r1) * bend);
}

}  // namespace

/// DPM-Solver++ multistep (Lu et al. 2022b), second order with the midpoint rule unless the config says otherwise.
at::Tensor sample_dpmpp_2m(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  const Prediction prediction = plan.config.prediction_type;
  std::vector<at::Tensor> history;
  for (size_t i = 0; i < plan.timesteps.size(); ++i) {
    const Mixture here = mixture_of_sigma(static_cast<float>(plan.sigmas[i]));
    const at::Tensor output = model(x, plan.timesteps[i]);
    const at::Tensor x0 = limited(plan.config, predicted_x0(prediction, output, x, here));
    at::Tensor eps = predicted_eps(prediction, output, x, here);
    if (plan.config.thresholding) eps = (x - here.signal * x0) / here.noise;
    if (history.size() == 3) history.erase(history.begin());
    history.push_back(predicts_x0(plan.config) ? x0 : eps);
    x = step(plan, i, x, history);
    report(context, plan, i, plan.timesteps[i], x, x0);
  }
  return x;
}

}  // namespace sdtorch
