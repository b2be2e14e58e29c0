#include <vector>

#include "diffusion/noise_schedule.hpp"
#include "diffusion/prediction.hpp"
#include "diffusion/samplers/alpha_bar_plan.hpp"
#include "diffusion/samplers/pndm_plan.hpp"
#include "diffusion/samplers/samplers.hpp"
#include "diffusion/samplers/step.hpp"

namespace sdtorch {

/// x at timestep t moved to `previous` along the network's output e (Liu et al. 2022, eq. 11).
static at::Tensor transfer(const SamplingPlan& plan, const at::Tensor& x, const at::Tensor& e, int64_t t,
                           int64_t previous) {
  const float a = alpha_bar_at(plan, t), p = alpha_bar_at(plan, previous);
  const at::Tensor eps = predicted_eps(plan.config.prediction_type, e, x, mixture_of_alpha_bar(a));
  return root(p / a) * x - (p - a) * eps / (a * root(1 - p) + root(a * (1 - a) * p));
}

/// Pseudo numerical methods (Liu et al. 2022): Runge-Kutta for three steps (Algorithm 1), then linear multistep
/// (Algorithm 2). With skip_prk_steps the first step is instead the mean of two Euler steps.
at::Tensor sample_pndm(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  const int64_t back = pndm_stride(plan);
  const auto time = [&](size_t call) { return static_cast<int64_t>(plan.timesteps[call]); };
  size_t call = 0;
  const auto evaluate = [&](const at::Tensor& latent) { return model(latent, plan.timesteps[call++]); };
  std::vector<at::Tensor> history;
  for (size_t i = 0; i + 1 < plan.sigmas.size(); ++i) {
    const size_t first = call;
    const int64_t t = time(first);
    const at::Tensor e = evaluate(x);
    const at::Tensor x0 = predicted_x0(plan.config.prediction_type, e, x, mixture_of_alpha_bar(alpha_bar_at(plan, t)));
    if (history.size() == 4) history.erase(history.begin());
    history.push_back(e);
    if (!plan.config.skip_prk_steps && i < runge_kutta_steps) {
      const at::Tensor e2 = evaluate(transfer(plan, x, e, t, t - back / 2));
      const at::Tensor e3 = evaluate(transfer(plan, x, e2, t, time(first + 1)));
      const at::Tensor e4 = evaluate(transfer(plan, x, e3, t, time(first + 2) - back / 2));
      x = transfer(plan, x, (e + 2 * e2 + 2 * e3 + e4) / 6, t, time(first + 3));
    } else if (plan.config.skip_prk_steps && i == 0 && plan.timesteps.size() > 1) {
      const at::Tensor ahead = evaluate(transfer(plan, x, e, t, t - back));
      x = transfer(plan, x, (ahead + e) / 2, time(first + 1) + back, time(first + 1));
    } else {
      x = transfer(plan, x, adams_bashforth(history), t, t - back);
    }
    report(context, plan, i, plan.timesteps[first], x, x0);
  }
  return x;
}

}  // namespace sdtorch
