#include "diffusion/noise_schedule.hpp"
#include "diffusion/samplers/alpha_bar_plan.hpp"
#include "diffusion/samplers/step.hpp"
#include "diffusion/timesteps.hpp"

namespace sdtorch {
namespace {

/// How many steps of four network calls each come first, unless skip_prk_steps leaves them out.
constexpr size_t runge_kutta_steps = 3;

/// Training timesteps that one step goes back, whatever the spacing.
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
    throw Error(ErrorKind::usage, {.place = "steps",
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

/// Drops the first calls, as diffusers' image-to-image does, and not the first steps: the first of these has two calls,
/// so that from the second step on the run begins a timestep earlier, and after its own two calls leaves one out.
void begin_pndm_at(SamplingPlan& plan, int64_t first) {
  if (!plan.config.skip_prk_steps) {
    throw Error(ErrorKind::usage, {.place = "sampler",
                                   .reason = "pndm with Runge-Kutta steps cannot begin in the middle",
                                   .hint = "choose another, or set skip_prk_steps in " + plan.config.file});
  }
  const double level = plan.sigmas[static_cast<size_t>(std::max<int64_t>(first - 1, 1))];
  plan.earlier.assign(plan.sigmas.begin(), plan.sigmas.begin() + first);
  plan.sigmas.erase(plan.sigmas.begin(), plan.sigmas.begin() + first);
  plan.sigmas.front() = level;
  plan.timesteps.erase(plan.timesteps.begin(), plan.timesteps.begin() + first);
}

/// x at timestep t moved to `previous` along the network's output e (Liu et al. 2022, eq. 11).
at::Tensor transfer(const SamplingPlan& plan, const at::Tensor& x, const at::Tensor& e, int64_t t, int64_t previous) {
  const float a = alpha_bar_at(plan, t), p = alpha_bar_at(plan, previous);
  const at::Tensor eps = predicted_eps(plan.config.prediction_type, e, x, mixture_of_alpha_bar(a));
  return root(p / a) * x - (p - a) * eps / (a * root(1 - p) + root(a * (1 - a) * p));
}

/// Pseudo numerical methods (Liu et al. 2022): Runge-Kutta for three steps (Algorithm 1), then linear multistep
/// (Algorithm 2). With skip_prk_steps the first step is instead the mean of two Euler steps.
at::Tensor sample_pndm(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context) {
  SamplerRun run(model, plan, context);
  const int64_t back = pndm_stride(plan);
  const auto evaluate = [&](size_t i, const at::Tensor& latent) {
    return run.evaluate(i, latent, mixture_of_alpha_bar(alpha_bar_at(plan, static_cast<int64_t>(run.timestep()))));
  };
  std::vector<at::Tensor> history;
  for (size_t i = 0; i < run.steps(); ++i) {
    const auto t = static_cast<int64_t>(run.timestep());
    const auto [e, x0, eps] = evaluate(i, x);
    remember(history, e, 4);
    if (!plan.config.skip_prk_steps && i < runge_kutta_steps) {
      const auto halfway = static_cast<int64_t>(run.timestep()), end = static_cast<int64_t>(run.timestep(2));
      const at::Tensor e2 = evaluate(i, transfer(plan, x, e, t, t - back / 2)).output;
      const at::Tensor e3 = evaluate(i, transfer(plan, x, e2, t, halfway)).output;
      const at::Tensor e4 = evaluate(i, transfer(plan, x, e3, t, halfway - back / 2)).output;
      x = transfer(plan, x, (e + 2 * e2 + 2 * e3 + e4) / 6, t, end);
    } else if (plan.config.skip_prk_steps && i == 0 && run.has_call()) {
      const auto next = static_cast<int64_t>(run.timestep());
      const at::Tensor ahead =
          evaluate(i, run.within_step(transfer(plan, x, e, t, t - back), sigma_of(alpha_bar_at(plan, next)))).output;
      x = transfer(plan, x, (ahead + e) / 2, next + back, next);
    } else {
      x = transfer(plan, x, adams_bashforth(history), t, t - back);
    }
    x = run.finish_step(i, x, x0);
  }
  return x;
}

}  // namespace

extern constinit const Sampler pndm_sampler{
    .name = "pndm",
    .label = "PLMS",
    .aliases = {"plms", "kpndm"},
    .diffusers_class = "PNDMScheduler",
    .defaults = {.timestep_spacing = Spacing::leading, .set_alpha_to_one = false},
    .supports_x0 = false,
    .supports_zero_snr = false,
    .plan = plan_pndm,
    .sample = sample_pndm,
    .begin_at = begin_pndm_at,
};

}  // namespace sdtorch
