#include <cmath>
#include <vector>

#include "dpm_solver_plan.hpp"
#include "samplers.hpp"
#include "sdtorch/diffusion/prediction.hpp"
#include "step.hpp"

namespace sdtorch {
namespace {

/// Step i from the predictions m (newest last): x0 with DPM-Solver++, eps with DPM-Solver. In both the integral of the
/// prediction over lambda is exact for a Taylor polynomial of the order (Lu et al. 2022b, Algorithm 2; 2022a, eq. 3.6).
at::Tensor step(const SamplingPlan& plan, size_t i, const at::Tensor& x, const std::vector<at::Tensor>& m) {
  const Mixture here = mixture_of_sigma(static_cast<float>(plan.sigmas[i]));
  const Mixture next = mixture_of_sigma(static_cast<float>(plan.sigmas[i + 1]));
  const auto lambda = [&](size_t k) {  // log(signal / noise), half the logarithm of the signal-to-noise ratio
    const Mixture level = mixture_of_sigma(static_cast<float>(plan.sigmas[k]));
    return std::log(level.signal) - std::log(level.noise);
  };
  const float h = lambda(i + 1) - lambda(i);
  const bool plus = predicts_x0(plan.config);
  const float z = plus ? -h : h, scale = plus ? next.signal : next.noise;
  const float phi1 = std::exp(z) - 1, phi2 = phi1 / z - 1, phi3 = (phi1 - z) / (z * z) - 0.5F;
  at::Tensor kept = (plus ? next.noise / here.noise : next.signal / here.signal) * x - scale * phi1 * m.back();
  const int64_t order = dpm_order(plan.config, static_cast<int64_t>(i), plan.steps);
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
  const bool plus = predicts_x0(plan.config);
  std::vector<at::Tensor> history;
  for (size_t i = 0; i < plan.timesteps.size(); ++i) {
    const Mixture here = mixture_of_sigma(static_cast<float>(plan.sigmas[i]));
    const at::Tensor output = model(x, plan.timesteps[i]);
    at::Tensor eps = predicted_eps(prediction, output, x, here);
    const at::Tensor x0 = limited(plan.config, plus ? predicted_x0(prediction, output, x, here)
                                                    : predicted_x0(Prediction::epsilon, eps, x, here));
    if (plan.config.thresholding) eps = (x - here.signal * x0) / here.noise;
    if (history.size() == 3) history.erase(history.begin());
    history.push_back(plus ? x0 : eps);
    x = step(plan, i, x, history);
    report(context, plan, i, plan.timesteps[i], x, x0);
  }
  return x;
}

}  // namespace sdtorch
