#include "diffusion/samplers/dpm_solver_step.hpp"

#include <algorithm>
#include <cmath>

#include "diffusion/prediction.hpp"
#include "diffusion/samplers/step.hpp"

namespace sdtorch {
namespace {

bool is_sde(const SchedulerConfig& config) { return config.algorithm_type.starts_with("sde-"); }

/// Step i from the predictions m (newest last), whose differences stand for its derivatives.
at::Tensor multistep(const SamplingPlan& plan, size_t i, const at::Tensor& x, const std::vector<at::Tensor>& m) {
  const DpmTerms terms = dpm_terms(plan.config, plan.sigmas[i], plan.sigmas[i + 1]);
  const bool ends_low = plan.config.euler_at_final || plan.sigmas[i + 1] == 0;
  const int64_t order = multistep_order(plan, i, ends_low);
  const at::Tensor kept = terms.kept * x - terms.scale * terms.phi1 * m.back();
  if (order == 1) return kept;
  const auto distance = [&](size_t k) { return lambda_of(plan.sigmas[k]) - lambda_of(plan.sigmas[k - 1]); };
  const float r0 = distance(i) / terms.h;
  const at::Tensor slope = 1 / r0 * (m.back() - m[m.size() - 2]);
  if (order == 2) {
    return kept - terms.scale * (plan.config.solver_type == "heun" ? terms.phi2 : 0.5F * terms.phi1) * slope;
  }
  const float r1 = distance(i - 1) / terms.h;
  const at::Tensor bend = slope - 1 / r1 * (m[m.size() - 2] - m[m.size() - 3]);
  return kept - terms.scale * terms.phi2 * (slope + r0 / (r0 + r1) * bend) -
         terms.scale * terms.phi3 * (1 / (r0 + r1) * bend);
}

}  // namespace

bool predicts_x0(const SchedulerConfig& config) { return config.algorithm_type.ends_with("++"); }

float lambda_of(double sigma) {
  const Mixture level = mixture_of_sigma(static_cast<float>(sigma));
  return std::log(level.signal) - std::log(level.noise);
}

DpmPrediction dpm_prediction(const SchedulerConfig& config, const at::Tensor& output, const at::Tensor& x,
                             double sigma) {
  const Prediction prediction = config.prediction_type;
  const Mixture here = mixture_of_sigma(static_cast<float>(sigma));
  if (predicts_x0(config)) {
    const at::Tensor x0 = thresholded(config, predicted_x0(prediction, output, x, here));
    return {.x0 = x0, .integrated = x0};
  }
  const at::Tensor eps = predicted_eps(prediction, output, x, here);
  const at::Tensor x0 = thresholded(config, predicted_x0(Prediction::epsilon, eps, x, here));
  return {.x0 = x0, .integrated = config.thresholding ? (x - here.signal * x0) / here.noise : eps};
}

DpmTerms dpm_terms(const SchedulerConfig& config, double from, double to) {
  const Mixture here = mixture_of_sigma(static_cast<float>(from)), next = mixture_of_sigma(static_cast<float>(to));
  const bool plus = predicts_x0(config), sde = is_sde(config);
  const float h = lambda_of(to) - lambda_of(from);
  const float z = plus ? (sde ? -2 * h : -h) : h;
  DpmTerms terms{.h = h, .kept = plus ? next.noise / here.noise : next.signal / here.signal};
  terms.scale = plus ? next.signal : next.noise;
  terms.phi1 = std::exp(z) - 1;
  terms.phi2 = terms.phi1 / z - 1;
  terms.phi3 = (terms.phi1 - z) / (z * z) - 0.5F;
  terms.noise = 0;
  if (sde && plus) {
    terms.kept *= std::exp(-h);
    terms.phi3 += 1;  // diffusers has this constant with the other sign here, and its pictures are the measure
    terms.noise = next.noise * std::sqrt(1 - std::exp(-2 * h));
  } else if (sde) {
    terms.scale *= 2;
    terms.noise = next.noise * std::sqrt(std::exp(2 * h) - 1);
  }
  return terms;
}

int64_t multistep_order(const SamplingPlan& plan, size_t i, bool ends_low) {
  const auto taken = static_cast<int64_t>(i), place = std::ssize(plan.earlier) + taken;
  const bool few = plan.config.lower_order_final && plan.steps < 15;
  if (place == plan.steps - 1 && (ends_low || few)) return 1;
  const int64_t most = place == plan.steps - 2 && few ? 2 : 3;
  return std::min({plan.config.solver_order, taken + 1, most});
}

at::Tensor sample_dpm_multistep(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  std::vector<at::Tensor> history;
  for (size_t i = 0; i < plan.timesteps.size(); ++i) {
    const at::Tensor output = model(x, plan.timesteps[i]);
    const DpmPrediction predicted = dpm_prediction(plan.config, output, x, plan.sigmas[i]);
    if (history.size() == 3) history.erase(history.begin());
    history.push_back(predicted.integrated);
    x = multistep(plan, i, x, history);
    if (is_sde(plan.config)) {
      x = x + dpm_terms(plan.config, plan.sigmas[i], plan.sigmas[i + 1]).noise * unit_noise(context, x);
    }
    report(context, plan, i, plan.timesteps[i], x, predicted.x0);
  }
  return x;
}

}  // namespace sdtorch
