#include <algorithm>
#include <cmath>
#include <deque>

#include "diffusion/samplers/step.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {
namespace {

void plan_lms(SamplingPlan& plan) { plan_sigmas(plan, {.bounds = LevelBounds::timesteps, .exact_timesteps = true}); }

/// The integral from sigma_i to sigma_{i+1} of the Lagrange polynomial that is 1 at sigma_{i-node} and 0 at the other
/// of the `order` levels up to sigma_i. Of degree 3 at most, for which Gauss's rule of two points is exact.
double coefficient(std::span<const double> sigmas, size_t i, size_t order, size_t node) {
  const auto polynomial = [&](double tau) {
    double product = 1;
    for (size_t k = 0; k < order; ++k) {
      if (k != node) product *= (tau - sigmas[i - k]) / (sigmas[i - node] - sigmas[i - k]);
    }
    return product;
  };
  const double middle = (sigmas[i] + sigmas[i + 1]) / 2, half = (sigmas[i + 1] - sigmas[i]) / 2;
  const double offset = half / std::sqrt(3.0);
  return half * (polynomial(middle - offset) + polynomial(middle + offset));
}

/// Linear multistep (Adams-Bashforth with uneven steps, order 4) on the probability-flow ODE: the slopes at the last
/// levels are interpolated and integrated (Hairer et al., Solving Ordinary Differential Equations I, section III.5;
/// as a diffusion sampler in Katherine Crowson's k-diffusion).
at::Tensor sample_lms(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  constexpr size_t max_order = 4;
  SamplerRun run(model, plan, context);
  std::vector<double> sigmas = plan.earlier;  // of the whole plan, of which the beginning may be cut away
  sigmas.insert(sigmas.end(), plan.sigmas.begin(), plan.sigmas.end());
  std::deque<at::Tensor> slopes;  // newest first
  for (size_t i = 0; i < run.steps(); ++i) {
    const at::Tensor x0 = run.x0_at_sigma(i, x, run.sigma(i));
    slopes.push_front((x - x0) / run.sigma(i));
    if (slopes.size() > max_order) slopes.pop_back();
    const size_t order = std::min(run.place(i) + 1, max_order);
    at::Tensor change = at::zeros_like(x);
    for (size_t k = 0; k < slopes.size(); ++k) {
      change = change + coefficient(sigmas, run.place(i), order, k) * slopes[k];
    }
    x = run.finish_step(i, x + change, x0);
  }
  return x;
}

}  // namespace

extern constinit const Sampler lms_sampler{
    .name = "lms",
    .label = "LMS",
    .aliases = {"klms"},
    .diffusers_class = "LMSDiscreteScheduler",
    .has_schedules = true,
    .reads_schedule_keys = true,
    .supports_zero_snr = false,
    .exploding = true,
    .plan = plan_lms,
    .sample = sample_lms,
};

}  // namespace sdtorch
