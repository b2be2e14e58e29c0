#include <algorithm>
#include <numbers>

#include "diffusion/samplers/step.hpp"

namespace sdtorch {
namespace {

constexpr float least_signal = 1e-8F;

/// Signal and noise of n + 1 levels, 1 to 0 in time, by its own schedule, noise = sin^2(time pi / 2).
struct IpndmLevels {
  at::Tensor signal, noise;
};
IpndmLevels ipndm_levels(int64_t n) {
  const at::Tensor noise = (at::linspace(1, 0, n + 1, at::kFloat) * std::numbers::pi / 2).sin().pow(2);
  return {.signal = (1 - noise.pow(2)).pow(0.5), .noise = noise};
}

void plan_ipndm(SamplingPlan& plan) {
  if (!plan.config.trained_betas.empty()) throw unsupported(plan.config, "trained_betas", "ipndm has none");
  const auto [signal, noise] = ipndm_levels(plan.steps);
  const at::Tensor time = at::atan2(noise, signal) / std::numbers::pi * 2;
  plan.timesteps.clear();
  plan.sigmas.clear();
  for (int64_t i = 0; i <= plan.steps; ++i) {
    if (i < plan.steps) plan.timesteps.push_back(time[i].item<float>());
    plan.sigmas.push_back(noise[i].item<float>() / std::max(signal[i].item<float>(), least_signal));
  }
  plan.init_noise_sigma = 1;
}

/// Improved pseudo numerical method (Liu et al. 2022 without the warm-up by Runge-Kutta: Zhang & Chen 2022,
/// section 3.3), as diffusers' IPNDMScheduler has it: with a schedule of its own, times from 1 to 0 and the network's
/// output read as v, whatever the model says.
at::Tensor sample_ipndm(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  SamplerRun run(model, plan, context);
  const IpndmLevels all = ipndm_levels(plan.steps);
  std::vector<at::Tensor> e;  // of the noise, newest last
  for (size_t i = 0; i < run.steps(); ++i) {
    const auto place = static_cast<int64_t>(run.place(i));
    const auto signal = all.signal[place].item<float>(), noise = all.noise[place].item<float>();
    const at::Tensor v = run.evaluate(i, x, {.signal = signal, .noise = noise}).output;
    remember(e, x * noise + v * signal, 4);
    const at::Tensor mean = adams_bashforth(e);
    const at::Tensor x0 = (x - noise * mean) / std::max(signal, least_signal);
    x = all.signal[place + 1].item<float>() * x0 + mean * all.noise[place + 1].item<float>();
    x = run.finish_step(i, x, x0);
  }
  return x;
}

}  // namespace

extern constinit const Sampler ipndm_sampler{
    .name = "ipndm",
    .label = "IPNDM",
    .aliases = {"kipndm"},
    .diffusers_class = "IPNDMScheduler",
    .uses_spacing = false,
    .plan = plan_ipndm,
    .sample = sample_ipndm,
};

}  // namespace sdtorch
