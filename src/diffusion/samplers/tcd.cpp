#include <cmath>

#include "diffusion/noise_schedule.hpp"
#include "diffusion/prediction.hpp"
#include "diffusion/samplers/alpha_bar_plan.hpp"
#include "diffusion/samplers/consistency_plan.hpp"
#include "diffusion/samplers/samplers.hpp"
#include "diffusion/samplers/step.hpp"

namespace sdtorch {

void plan_tcd(SamplingPlan& plan) { plan_consistency(plan, plan.alpha_bar.front()); }

/// Strategic stochastic sampling of trajectory consistency distillation (Zheng et al. 2024, Algorithm 4): each step
/// goes along the trajectory to a timestep s = (1 - eta) t' beyond the next one, t', and back up to that by noise. eta,
/// the paper's gamma, is 0 for no noise and 1 for as much as LCM's.
at::Tensor sample_tcd(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  const Prediction prediction = plan.config.prediction_type;
  const std::vector<double> run = consistency_timesteps(plan);
  for (size_t i = 0; i < plan.timesteps.size(); ++i) {
    const size_t following = plan.earlier.size() + i + 1;
    const bool last = following == run.size();
    const double next = last ? 0 : run[following];
    const auto s = static_cast<int64_t>(std::floor(static_cast<float>(1 - plan.eta) * static_cast<float>(next)));
    const at::Tensor output = model(x, plan.timesteps[i]);
    const Mixture here = mixture_of_alpha_bar(alpha_bar_at(plan, static_cast<int64_t>(plan.timesteps[i])));
    const float alpha_bar = alpha_bar_at(plan, s), next_alpha_bar = alpha_bar_at(plan, static_cast<int64_t>(next));
    const Mixture beyond = mixture_of_alpha_bar(alpha_bar);
    const at::Tensor x0 = predicted_x0(prediction, output, x, here);
    x = beyond.signal * x0 + beyond.noise * predicted_eps(prediction, output, x, here);
    if (plan.eta > 0 && !last) {
      const Mixture back = mixture_of_alpha_bar(next_alpha_bar / alpha_bar);
      x = back.signal * x + back.noise * unit_noise(context, x);
    }
    report(context, plan, i, plan.timesteps[i], x, x0);
  }
  return x;
}

}  // namespace sdtorch
