#include <algorithm>
#include <numbers>
#include <vector>

#include "diffusion/samplers/samplers.hpp"
#include "diffusion/samplers/step.hpp"

namespace sdtorch {
namespace {

constexpr float least_signal = 1e-8F;

/// Signal and noise of n + 1 levels, 1 to 0 in time, by its own schedule, noise = sin^2(time pi / 2).
struct Levels {
  at::Tensor signal, noise;
};
Levels levels(int64_t n) {
  const at::Tensor noise = (at::linspace(1, 0, n + 1, at::kFloat) * std::numbers::pi / 2).sin().pow(2);
  return {.signal = (1 - noise.pow(2)).pow(0.5), .noise = noise};
}

}  // namespace

void plan_ipndm(SamplingPlan& plan) {
  if (!plan.config.trained_betas.empty()) throw unsupported(plan.config, "trained_betas", "ipndm has none");
  const auto [signal, noise] = levels(plan.steps);
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
  const Levels all = levels(plan.steps);
  std::vector<at::Tensor> e;  // of the noise, newest last
  for (int64_t i = std::ssize(plan.earlier); i < plan.steps; ++i) {
    const auto signal = all.signal[i].item<float>(), noise = all.noise[i].item<float>();
    const size_t place = static_cast<size_t>(i) - plan.earlier.size();
    if (place == plan.timesteps.size()) break;  // another model goes on
    const double timestep = plan.timesteps[place];
    const at::Tensor eps = x * noise + model(x, timestep) * signal;
    if (e.size() == 4) e.erase(e.begin());
    e.push_back(eps);
    const at::Tensor mean = adams_bashforth(e);
    const at::Tensor x0 = (x - noise * mean) / std::max(signal, least_signal);
    x = all.signal[i + 1].item<float>() * x0 + mean * all.noise[i + 1].item<float>();
    report(context, plan, place, timestep, x, x0);
  }
  return x;
}

}  // namespace sdtorch
