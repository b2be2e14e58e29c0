#include <cmath>
#include <vector>

#include "diffusion/noise_schedule.hpp"
#include "diffusion/prediction.hpp"
#include "diffusion/samplers/deis_weights.hpp"
#include "diffusion/samplers/dpm_solver_plan.hpp"
#include "diffusion/samplers/dpm_solver_step.hpp"
#include "diffusion/samplers/samplers.hpp"
#include "diffusion/samplers/step.hpp"

namespace sdtorch {

void plan_deis(SamplingPlan& plan) {
  settle_deis_variant(plan.config);
  plan_dpm_levels(plan, {.clips_lambda = false});
  finish_dpm_levels(plan, plan.schedule->bounded ? plan.sigmas.back() : sigma_of(plan.alpha_bar.front()), false);
}

/// DEIS (Zhang & Chen 2022, "Fast Sampling of Diffusion Models with Exponential Integrator", Algorithm 1) in log rho:
/// the noise is interpolated over the logarithm of the level by the last predictions, and integrated exactly. It ends
/// at the model's smallest level, since the logarithm of 0 does not exist.
at::Tensor sample_deis(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  const SchedulerConfig& config = plan.config;
  std::vector<at::Tensor> history;  // of eps, newest last
  for (size_t i = 0; i < plan.timesteps.size(); ++i) {
    const Mixture here = mixture_of_sigma(static_cast<float>(plan.sigmas[i]));
    const Mixture next = mixture_of_sigma(static_cast<float>(plan.sigmas[i + 1]));
    const at::Tensor output = model(x, plan.timesteps[i]);
    const at::Tensor x0 = thresholded(config, predicted_x0(config.prediction_type, output, x, here));
    if (history.size() == 3) history.erase(history.begin());
    history.push_back((x - here.signal * x0) / here.noise);
    const auto order = static_cast<size_t>(multistep_order(plan, i, false));
    if (order == 1) {
      const float h = lambda_of(plan.sigmas[i + 1]) - lambda_of(plan.sigmas[i]);
      x = next.signal / here.signal * x - next.noise * (std::exp(h) - 1) * history.back();
    } else {
      const std::vector<float> weights = deis_weights(plan, i, order);
      at::Tensor moved = x / here.signal;
      for (size_t k = 0; k < order; ++k) moved = moved + weights[k] * history[history.size() - 1 - k];
      x = next.signal * moved;
    }
    report(context, plan, i, plan.timesteps[i], x, x0);
  }
  return x;
}

}  // namespace sdtorch
