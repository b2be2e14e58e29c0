#include <cmath>

#include "diffusion/samplers/brownian_noise.hpp"
#include "diffusion/samplers/step.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {
namespace {

void plan_dpmpp_3m_sde(SamplingPlan& plan) { plan_sigmas(plan, {.bounds = LevelBounds::training}); }

/// DPM-Solver++ for the reverse SDE with a history of three predictions (Lu et al. 2022b, Algorithm 2 and section 5,
/// carried to the third order; Katherine Crowson's k-diffusion, sample_dpmpp_3m_sde with eta 1). The noise is the
/// increment of a Brownian motion over sigma. The last step takes the prediction as it is.
at::Tensor sample_dpmpp_3m_sde(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  SamplerRun run(model, plan, context);
  const BrownianNoise noise(plan, context.noise, x);
  const auto length = [&](size_t i) { return std::log(plan.sigmas[i] / plan.sigmas[i + 1]); };
  std::vector<at::Tensor> m;  // of x0, newest last
  for (size_t i = 0; i < run.steps(); ++i) {
    const float sigma = run.sigma(i), next = run.sigma(i + 1);
    const at::Tensor x0 = run.x0_at_sigma(i, x, sigma);
    remember(m, x0, 3);
    if (next == 0) {
      x = run.finish_step(i, x0, x0);
      continue;
    }
    const double h = length(i), z = 2 * h;
    const double phi2 = std::expm1(-z) / z + 1, phi3 = phi2 / z - 0.5;
    x = std::exp(-z) * x - std::expm1(-z) * x0;
    if (m.size() > 1) {
      const at::Tensor slope = (m.back() - m[m.size() - 2]) / (length(i - 1) / h);
      x = x + phi2 * slope;
      if (m.size() > 2) {
        const double r0 = length(i - 1) / h, r1 = length(i - 2) / h;
        const at::Tensor bend = (slope - (m[1] - m[0]) / r1) / (r0 + r1);
        x = x + (phi2 * r0 - phi3) * bend;
      }
    }
    x = x + noise(at::scalar_tensor(sigma), at::scalar_tensor(next)) * next * std::sqrt(-std::expm1(-z));
    x = run.finish_step(i, x, x0);
  }
  return x;
}

}  // namespace

extern constinit const Sampler dpmpp_3m_sde_sampler{
    .name = "dpm++3m_sde",
    .label = "DPM++ 3M SDE",
    .aliases = {"dpmpp3msde", "kdpmpp3msde", "kdpm++3msde", "dpmpp3msdegpu"},
    .has_schedules = true,
    .exploding = true,
    .plan = plan_dpmpp_3m_sde,
    .sample = sample_dpmpp_3m_sde,
};

}  // namespace sdtorch
