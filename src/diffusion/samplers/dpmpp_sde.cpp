#include "diffusion/samplers/brownian_noise.hpp"
#include "diffusion/samplers/step.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {
namespace {

void plan_dpmpp_sde(SamplingPlan& plan) {
  plan_sigmas(plan, {.bounds = LevelBounds::timesteps, .exact_timesteps = true});
  add_second_calls(plan, halfways(plan));
}

/// DPM-Solver++ for the reverse SDE in second-order single steps with r = 1/2 (Lu et al. 2022b, Algorithm 1 with the
/// stochastic step of its section 5; Katherine Crowson's k-diffusion, sample_dpmpp_sde). The noise is the increment of
/// a Brownian motion over sigma, so that it hardly depends on the number of steps. Levels are tensors here, since the
/// motion is looked up at times of which the last digit counts.
at::Tensor sample_dpmpp_sde(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  SamplerRun run(model, plan, context);
  const BrownianNoise noise(plan, context.noise, x);
  const auto time = [](const at::Tensor& sigma) { return sigma.log().neg(); };
  const auto level = [](const at::Tensor& t) { return t.neg().exp(); };
  for (size_t i = 0; i < run.steps(); ++i) {
    const float sigma = run.sigma(i), next = run.sigma(i + 1);
    const at::Tensor x0 = run.x0_at_sigma(i, x, sigma);
    const at::Tensor t = time(at::scalar_tensor(sigma)), t_next = time(at::scalar_tensor(next));
    const at::Tensor t_halfway = t + (t_next - t) * 0.5;
    const auto step_to = [&](const at::Tensor& t_to, const at::Tensor& predicted) {
      const at::Tensor from = level(t), to = level(t_to);
      const at::Tensor up = at::minimum(to, (to.pow(2) * (from.pow(2) - to.pow(2)) / from.pow(2)).pow(0.5));
      const at::Tensor t_down = time((to.pow(2) - up.pow(2)).pow(0.5));
      return level(t_down) / level(t) * x - (t - t_down).expm1() * predicted + noise(from, to) * up;
    };
    if (next > 0) {
      const at::Tensor ahead = run.within_step(step_to(t_halfway, x0), run.sigma(i + 1));
      x = step_to(t_next, run.x0_at_sigma(i, ahead, level(t_halfway).item<float>()));
    } else {
      x = x + (x - x0) / sigma * (next - sigma);
    }
    x = run.finish_step(i, x, x0);
  }
  return x;
}

}  // namespace

extern constinit const Sampler dpmpp_sde_sampler{
    .name = "dpm++sde",
    .label = "DPM++ SDE",
    .aliases = {"dpmppsde", "kdpmppsde", "kdpm++sde", "dpmppsdegpu", "dpmsolversde"},
    .diffusers_class = "DPMSolverSDEScheduler",
    .defaults = {.beta_start = 0.00085, .beta_end = 0.012},
    .has_schedules = true,
    .reads_schedule_keys = true,
    .supports_x0 = false,
    .supports_zero_snr = false,
    .exploding = true,
    .calls_per_step = 2,
    .plan = plan_dpmpp_sde,
    .sample = sample_dpmpp_sde,
};

}  // namespace sdtorch
