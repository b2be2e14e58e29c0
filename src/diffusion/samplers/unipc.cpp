#include "diffusion/prediction.hpp"
#include "diffusion/samplers/dpm_solver_plan.hpp"
#include "diffusion/samplers/samplers.hpp"
#include "diffusion/samplers/step.hpp"
#include "diffusion/samplers/unipc_step.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {

void plan_unipc(SamplingPlan& plan) {
  settle_unipc_variant(plan.config);
  plan_dpm_levels(plan, {.clips_lambda = false});
  const bool repeats = plan.schedule->bounded && plan.config.final_sigmas_type == "sigma_min";
  const bool ends_with_order_1 = plan.config.lower_order_final || plan.config.solver_order == 1;
  const bool ends_at_zero = plan.config.predict_x0 && ends_with_order_1 && plan.config.solver_type == "bh2";
  finish_dpm_levels(plan, repeats ? plan.sigmas.back() : final_sigma(plan), ends_at_zero);
}

/// UniPC (Zhao et al. 2023, Algorithms 1 and 2): each prediction is first used to correct the step that led to it, and
/// then, with those before it, to make the next one. One network call a step.
at::Tensor sample_unipc(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  const SchedulerConfig& config = plan.config;
  std::vector<at::Tensor> history;  // newest last
  at::Tensor before;                // x at the last step's level
  int64_t order = 0;
  for (size_t i = 0; i < plan.timesteps.size(); ++i) {
    const int64_t step = std::ssize(plan.earlier) + static_cast<int64_t>(i);
    const at::Tensor output = model(x, plan.timesteps[i]);
    const Mixture here = mixture_of_sigma(static_cast<float>(plan.sigmas[i]));
    const at::Tensor x0 = predicted_x0(config.prediction_type, output, x, here);
    const at::Tensor m =
        config.predict_x0 ? thresholded(config, x0) : predicted_eps(config.prediction_type, output, x, here);
    if (i > 0 && std::ranges::find(config.disable_corrector, step - 1) == config.disable_corrector.end()) {
      x = unipc_step(plan, i - 1, before, history, {.order = order, .arrived = m});
    }
    if (std::ssize(history) == config.solver_order) history.erase(history.begin());
    history.push_back(m);
    const int64_t left = config.lower_order_final ? plan.steps - step : config.solver_order;
    order = std::min({config.solver_order, left, static_cast<int64_t>(i) + 1});
    before = x;
    x = unipc_step(plan, i, before, history, {.order = order});
    report(context, plan, i, plan.timesteps[i], x, x0);
  }
  return x;
}

}  // namespace sdtorch
