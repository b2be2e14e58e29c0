#include "diffusion/samplers/pndm_plan.hpp"

#include <vector>

#include "diffusion/samplers/alpha_bar_plan.hpp"
#include "diffusion/samplers/samplers.hpp"
#include "diffusion/timesteps.hpp"

namespace sdtorch {

int64_t pndm_stride(const SamplingPlan& plan) { return plan.config.num_train_timesteps / plan.steps; }

void plan_pndm(SamplingPlan& plan) {
  const std::vector<double> t = whole_timesteps(plan.config, plan.steps);
  const int64_t half_stride = pndm_stride(plan) / 2;  // rounded down, as timesteps are whole
  const auto half = static_cast<double>(half_stride);
  plan.timesteps.clear();
  if (plan.config.skip_prk_steps) {
    plan.timesteps = t;
    if (t.size() > 1) plan.timesteps.insert(plan.timesteps.begin() + 1, t[1]);
  } else if (t.size() <= runge_kutta_steps) {
    throw Error(ErrorKind::usage, {.file = "--steps",
                                   .reason = "pndm begins with 3 Runge-Kutta steps and needs at least 4 in all",
                                   .hint = "take more, or set skip_prk_steps in " + plan.config.file});
  } else {
    for (size_t i = 0; i < runge_kutta_steps; ++i) {
      for (const double call : {t[i], t[i + 1] + half, t[i + 1] + half, t[i + 1]}) plan.timesteps.push_back(call);
    }
    plan.timesteps.insert(plan.timesteps.end(), t.begin() + runge_kutta_steps, t.end());
  }
  plan_alpha_bars(plan, t, final_alpha_bar(plan));
}

}  // namespace sdtorch
