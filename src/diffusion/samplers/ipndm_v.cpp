#include <algorithm>

#include "diffusion/samplers/step.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {
namespace {

void plan_ipndm_v(SamplingPlan& plan) { plan_sigmas(plan, {.bounds = LevelBounds::training}); }

/// Weights of the slopes, newest first, for steps of length h, this one's first: Adams-Bashforth's of order 1 to 4
/// where all are equal. For others they are those published with "Fast ODE-based Sampling for Diffusion Models in
/// Around 5 Steps" (Zhou et al. 2024), from order 3 on not the exact integrals: what other tools draw is the measure
/// here, and lms has the exact ones.
std::vector<double> ipndm_v_weights(const std::vector<double>& h) {
  std::vector<double> w{1, 0, 0, 0};
  if (h.size() > 1) {
    const double half = h[0] / h[1] / 2;
    w[0] += half, w[1] -= half;
  }
  if (h.size() > 2) {
    const double second = (1 - h[0] * h[0] / (3 * h[1] * (h[1] + h[2]))) / 2, ratio = h[1] / h[2];
    w[0] += second, w[1] -= (1 + ratio) * second, w[2] += ratio * second;
    if (h.size() > 3) {
      const double two = h[0] + h[1], three = two + h[2];
      const double inner = (1 - h[0] / (3 * two)) / 2 + (1 - h[0] / (2 * two)) * h[0] / (6 * three);
      const double third = inner * h[0] * two * three / (h[1] * (h[1] + h[2]) * (h[1] + h[2] + h[3]));
      const double far = h[1] * (h[1] + h[2]) / (h[2] * (h[2] + h[3]));
      w[0] += third, w[1] -= (1 + ratio + far) * third;
      w[2] += (ratio + far * (1 + h[2] / h[3])) * third, w[3] -= far * ratio * third;
    }
  }
  return w;
}

/// The improved pseudo numerical method on the probability-flow ODE, with weights for steps of uneven length (Zhang &
/// Chen 2022, section 3.3). The step to level 0 takes the prediction as it is.
at::Tensor sample_ipndm_v(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  SamplerRun run(model, plan, context);
  std::vector<at::Tensor> slopes;  // newest last
  for (size_t i = 0; i < run.steps(); ++i) {
    const at::Tensor x0 = run.x0_at_sigma(i, x, run.sigma(i));
    remember(slopes, (x - x0) / run.sigma(i), 4);
    std::vector<double> h;
    for (size_t k = 0; k < slopes.size(); ++k) h.push_back(plan.sigmas[i - k + 1] - plan.sigmas[i - k]);
    const std::vector<double> weights = ipndm_v_weights(h);
    at::Tensor mean = weights[0] * slopes.back();
    for (size_t k = 1; k < slopes.size(); ++k) mean = mean + weights[k] * slopes[slopes.size() - 1 - k];
    x = run.finish_step(i, run.sigma(i + 1) > 0 ? x + h[0] * mean : x0, x0);
  }
  return x;
}

}  // namespace

extern constinit const Sampler ipndm_v_sampler{
    .name = "ipndm_v",
    .label = "IPNDM V",
    .aliases = {"kipndmv"},
    .has_schedules = true,
    .exploding = true,
    .plan = plan_ipndm_v,
    .sample = sample_ipndm_v,
};

}  // namespace sdtorch
