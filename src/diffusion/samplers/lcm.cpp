#include "diffusion/noise_schedule.hpp"
#include "diffusion/prediction.hpp"
#include "diffusion/samplers/alpha_bar_plan.hpp"
#include "diffusion/samplers/consistency_plan.hpp"
#include "diffusion/samplers/samplers.hpp"
#include "diffusion/samplers/step.hpp"

namespace sdtorch {

void plan_lcm(SamplingPlan& plan) { plan_consistency(plan, 1); }

/// Multistep sampling of latent consistency models (Luo et al. 2023, Algorithm 3): each step leaps to the clean latent,
/// mixed with x as the boundary condition says (eq. 9 with sigma_data 1/2), and adds noise for the next timestep.
at::Tensor sample_lcm(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  const SchedulerConfig& config = plan.config;
  const std::vector<double> run = consistency_timesteps(plan);
  constexpr float variance = 0.25F;  // sigma_data squared
  for (size_t i = 0; i < plan.timesteps.size(); ++i) {
    const auto t = static_cast<int64_t>(plan.timesteps[i]);
    const at::Tensor output = model(x, plan.timesteps[i]);
    const Mixture here = mixture_of_alpha_bar(alpha_bar_at(plan, t));
    const at::Tensor x0 = limited(config, predicted_x0(config.prediction_type, output, x, here));
    const float scaled = static_cast<float>(t) * static_cast<float>(config.timestep_scaling);
    const float skip = variance / (scaled * scaled + variance), out = scaled / root(scaled * scaled + variance);
    x = out * x0 + skip * x;
    if (const size_t following = plan.earlier.size() + i + 1; following < run.size()) {
      const Mixture next = mixture_of_alpha_bar(alpha_bar_at(plan, static_cast<int64_t>(run[following])));
      x = next.signal * x + next.noise * unit_noise(context, x);
    }
    report(context, plan, i, plan.timesteps[i], x, x0);
  }
  return x;
}

}  // namespace sdtorch
