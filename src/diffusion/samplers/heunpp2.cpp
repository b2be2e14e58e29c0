#include <algorithm>

#include "diffusion/samplers/step.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {
namespace {

/// How many levels step i of `steps` looks ahead: two, and fewer where the run ends, at whose last level none is taken.
size_t levels_ahead(size_t i, size_t steps) { return std::min<size_t>(2, steps - 1 - i); }

void plan_heunpp2(SamplingPlan& plan) {
  plan_sigmas(plan, {.bounds = LevelBounds::training});
  const std::vector<double> first = std::move(plan.timesteps);
  plan.timesteps.clear();
  for (size_t i = 0; i < first.size(); ++i) {
    for (size_t k = 0; k <= levels_ahead(i, first.size()); ++k) plan.timesteps.push_back(first[i + k]);
  }
}

/// Heun++ (ComfyUI's sample_heunpp2): the slope of a step is a mean of those here and at the next two levels, reached
/// by Euler steps. A level counts as its share of the first one; what is left of the weight goes to the slope here.
at::Tensor sample_heunpp2(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  SamplerRun run(model, plan, context);
  for (size_t i = 0; i < run.steps(); ++i) {
    const at::Tensor x0 = run.x0_at_sigma(i, x, run.sigma(i));
    const at::Tensor here = (x - x0) / run.sigma(i);
    const size_t count = levels_ahead(i, run.steps());
    const float whole = static_cast<float>(count + 1) * run.sigma(0);
    at::Tensor point = x, slope = here, mean = here;
    for (size_t k = i + 1; k <= i + count; ++k) {
      const float sigma = run.sigma(k);
      point = point + slope * (sigma - run.sigma(k - 1));
      slope = (point - run.x0_at_sigma(i, point, sigma)) / sigma;
      mean = mean + sigma / whole * (slope - here);
    }
    x = x + mean * (run.sigma(i + 1) - run.sigma(i));
    x = run.finish_step(i, x, x0);
  }
  return x;
}

}  // namespace

extern constinit const Sampler heunpp2_sampler{
    .name = "heunpp2",
    .label = "Heun++ 2",
    .aliases = {"heun++2", "heunpp", "heun++", "kheunpp2"},
    .has_schedules = true,
    .exploding = true,
    .calls_per_step = 3,
    .plan = plan_heunpp2,
    .sample = sample_heunpp2,
};

}  // namespace sdtorch
