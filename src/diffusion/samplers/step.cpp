#include "diffusion/samplers/step.hpp"

#include <algorithm>

#include "core/upload.hpp"
#include "diffusion/noise_schedule.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {

SamplerRun::SamplerRun(const Model& model, const SamplingPlan& plan, SamplerContext& context)
    : model_(model), plan_(plan), context_(context) {}

int64_t SamplerRun::steps_in_all() const {
  return context_.steps > 0 ? context_.steps : context_.first_step + static_cast<int64_t>(steps());
}

ModelOutput SamplerRun::output(size_t i, const at::Tensor& x, double sigma) {
  const auto call = static_cast<int64_t>(call_);
  const double timestep = plan_.timesteps.at(call_++);
  if (step_ != static_cast<int64_t>(i)) {
    step_ = static_cast<int64_t>(i);
    first_timestep_ = timestep;
    sigma = plan_.sigmas[i];  // as the plan has it, without the rounding of a mixture
  }
  return model_(x, {.step = context_.first_step + step_,
                    .steps = steps_in_all(),
                    .call = call,
                    .timestep = timestep,
                    .sigma = sigma});
}

Evaluation SamplerRun::evaluate(size_t i, const at::Tensor& x, Mixture at) {
  const Prediction prediction = plan_.config.prediction_type;
  const auto [said, unguided] = output(i, x, at.noise / at.signal);
  const at::Tensor eps = predicted_eps(prediction, said, x, at);
  away_ = unguided.defined() ? predicted_eps(prediction, unguided, x, at) - eps : at::Tensor();
  return {.output = said, .x0 = predicted_x0(prediction, said, x, at), .eps = eps};
}

at::Tensor SamplerRun::x0_at_sigma(size_t i, const at::Tensor& x, float sigma) {
  const Prediction prediction = plan_.config.prediction_type;
  const auto [said, unguided] = output(i, x / root(sigma * sigma + 1), sigma);
  const at::Tensor x0 = predicted_x0_at_sigma(prediction, said, x, sigma);
  away_ = unguided.defined() ? (x0 - predicted_x0_at_sigma(prediction, unguided, x, sigma)) / sigma : at::Tensor();
  return x0;
}

at::Tensor SamplerRun::renoised(const at::Tensor& x, float amount) const {
  return away_.defined() ? x + amount * away_ : x;
}

at::Tensor SamplerRun::unit_noise(const at::Tensor& x) const {
  return sent(context_.noise.draw(x.sizes().slice(1)), x.device());
}

at::Tensor SamplerRun::within_step(const at::Tensor& x, double sigma) const {
  if (!context_.within_step) return x;
  const at::Tensor other = context_.within_step(x, sigma);
  return other.defined() ? other : x;
}

at::Tensor SamplerRun::finish_step(size_t i, const at::Tensor& x, const at::Tensor& x0) const {
  if (!context_.after_step) return x;
  const at::Tensor other = context_.after_step({.index = context_.first_step + static_cast<int64_t>(i),
                                                .count = steps_in_all(),
                                                .timestep = first_timestep_,
                                                .sigma = plan_.sigmas[i],
                                                .next_sigma = plan_.ends.empty() ? plan_.sigmas[i + 1] : plan_.ends[i],
                                                .latent = x,
                                                .predicted = x0});
  return other.defined() ? other : x;
}

AncestralStep ancestral_step(float sigma, float next) {
  const float variance = sigma * sigma, next_variance = next * next;
  const float up = root(next_variance * (variance - next_variance) / variance);
  return {.down = root(std::max(next_variance - up * up, 0.0F)), .up = up};
}

at::Tensor adams_bashforth(const std::vector<at::Tensor>& e) {
  const at::Tensor* last = &e.back();
  if (e.size() == 1) return last[0];
  if (e.size() == 2) return (3 * last[0] - last[-1]) / 2;
  if (e.size() == 3) return (23 * last[0] - 16 * last[-1] + 5 * last[-2]) / 12;
  return (55 * last[0] - 59 * last[-1] + 37 * last[-2] - 9 * last[-3]) / 24;
}

std::vector<float> halfways(const SamplingPlan& plan) {
  std::vector<float> halfway;
  for (size_t i = 0; i + 1 < plan.sigmas.size(); ++i) {
    halfway.push_back(halfway_sigma(static_cast<float>(plan.sigmas[i]), static_cast<float>(plan.sigmas[i + 1])));
  }
  return halfway;
}

std::vector<float> ancestral_halfways(const SamplingPlan& plan) {
  std::vector<float> halfway;
  for (size_t i = 0; i + 1 < plan.sigmas.size(); ++i) {
    const auto sigma = static_cast<float>(plan.sigmas[i]), next = static_cast<float>(plan.sigmas[i + 1]);
    halfway.push_back(halfway_sigma(sigma, ancestral_step(sigma, next).down));
  }
  return halfway;
}

void remember(std::vector<at::Tensor>& history, const at::Tensor& newest, size_t most) {
  if (history.size() == most) history.erase(history.begin());
  history.push_back(newest);
}

}  // namespace sdtorch
