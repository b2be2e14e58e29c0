#include <algorithm>
#include <cmath>
#include <vector>

#include "diffusion/noise_schedule.hpp"
#include "diffusion/prediction.hpp"
#include "diffusion/samplers/alpha_bar_plan.hpp"
#include "diffusion/samplers/samplers.hpp"
#include "diffusion/samplers/step.hpp"
#include "diffusion/timesteps.hpp"

namespace sdtorch {

void plan_ddpm(SamplingPlan& plan) {
  std::string& type = plan.config.variance_type;
  if (type.empty()) type = "fixed_small";
  if (type != "fixed_small" && type != "fixed_small_log" && type != "fixed_large") {
    throw unsupported(plan.config, "variance_type",
                      "expected fixed_small, fixed_small_log or fixed_large, found " + type,
                      "learned variances need a network that predicts them, and fixed_large_log is not a number");
  }
  plan.timesteps = whole_timesteps(plan.config, plan.steps);
  plan_alpha_bars(plan, plan.timesteps, 1);
}

namespace {

/// sigma_t of Ho et al. 2020, section 3.2: beta_t (fixed_large), or beta_t (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t).
float noise_deviation(const std::string& type, float alpha_bar, float previous, float beta) {
  if (type == "fixed_large") return root(beta);
  constexpr float smallest = 1e-20F;  // so that its logarithm exists
  const float variance = std::max((1 - previous) / (1 - alpha_bar) * beta, smallest);
  return type == "fixed_small_log" ? std::exp(0.5F * std::log(variance)) : root(variance);
}

}  // namespace

/// Ancestral sampling (Ho et al. 2020, Algorithm 2, with the mean of eq. 7, over the timesteps that are visited).
at::Tensor sample_ddpm(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  const std::vector<double> run = whole_timesteps(plan.config, plan.steps);  // whole, though two models may share it
  for (size_t i = 0; i < plan.timesteps.size(); ++i) {
    const auto t = static_cast<int64_t>(plan.timesteps[i]);
    const float alpha_bar = alpha_bar_at(plan, t);
    const size_t following = plan.earlier.size() + i + 1;
    const float previous = following < run.size() ? alpha_bar_at(plan, static_cast<int64_t>(run[following])) : 1;
    const float alpha = alpha_bar / previous, beta = 1 - alpha;
    const at::Tensor output = model(x, plan.timesteps[i]);
    const at::Tensor x0 =
        limited(plan.config, predicted_x0(plan.config.prediction_type, output, x, mixture_of_alpha_bar(alpha_bar)));
    x = root(previous) * beta / (1 - alpha_bar) * x0 + root(alpha) * (1 - previous) / (1 - alpha_bar) * x;
    if (t > 0) {
      x = x + noise_deviation(plan.config.variance_type, alpha_bar, previous, beta) * unit_noise(context, x);
    }
    report(context, plan, i, plan.timesteps[i], x, x0);
  }
  return x;
}

}  // namespace sdtorch
