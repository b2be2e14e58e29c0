#include "diffusion/prediction.hpp"
#include "diffusion/samplers/brownian_noise.hpp"
#include "diffusion/samplers/samplers.hpp"
#include "diffusion/samplers/step.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {

void plan_dpmpp_sde(SamplingPlan& plan) {
  plan_sigmas(plan, {.bounds = LevelBounds::timesteps, .exact_timesteps = true});
  add_second_calls(plan, halfways(plan));
}

/// DPM-Solver++ for the reverse SDE in second-order single steps with r = 1/2 (Lu et al. 2022b, Algorithm 1 with the
/// stochastic step of its section 5; Katherine Crowson's k-diffusion, sample_dpmpp_sde). The noise is the increment of
/// a Brownian motion over sigma, so that it hardly depends on the number of steps. Levels are tensors here, since the
/// motion is looked up at times of which the last digit counts.
at::Tensor sample_dpmpp_sde(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  const Prediction prediction = plan.config.prediction_type;
  const BrownianNoise noise(plan, context.noise, x);
  const auto time = [](const at::Tensor& sigma) { return sigma.log().neg(); };
  const auto level = [](const at::Tensor& t) { return t.neg().exp(); };
  size_t call = 0;
  for (size_t i = 0; i + 1 < plan.sigmas.size(); ++i) {
    const auto sigma = static_cast<float>(plan.sigmas[i]), next = static_cast<float>(plan.sigmas[i + 1]);
    const double timestep = plan.timesteps[call++];
    const at::Tensor output = evaluate_at_sigma(model, x, timestep, sigma);
    const at::Tensor x0 = predicted_x0_at_sigma(prediction, output, x, sigma);
    const at::Tensor t = time(at::scalar_tensor(sigma)), t_next = time(at::scalar_tensor(next));
    const at::Tensor t_halfway = t + (t_next - t) * 0.5;
    const auto step_to = [&](const at::Tensor& t_to, const at::Tensor& predicted) {
      const at::Tensor from = level(t), to = level(t_to);
      const at::Tensor up = at::minimum(to, (to.pow(2) * (from.pow(2) - to.pow(2)) / from.pow(2)).pow(0.5));
      const at::Tensor t_down = time((to.pow(2) - up.pow(2)).pow(0.5));
      return level(t_down) / level(t) * x - (t - t_down).expm1() * predicted + noise(from, to) * up;
    };
    if (next > 0) {
      const at::Tensor ahead = step_to(t_halfway, x0);
      const auto halfway = level(t_halfway).item<float>();
      const at::Tensor output_ahead = evaluate_at_sigma(model, ahead, plan.timesteps[call++], halfway);
      x = step_to(t_next, predicted_x0_at_sigma(prediction, output_ahead, ahead, halfway));
    } else {
      x = x + (x - x0) / sigma * (next - sigma);
    }
    report(context, plan, i, timestep, x, x0);
  }
  return x;
}

}  // namespace sdtorch
