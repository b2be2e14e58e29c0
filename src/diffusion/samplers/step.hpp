// What the samplers share: the network's next call, the end of a step, noise.
#pragma once

#include <vector>

#include "diffusion/prediction.hpp"
#include "diffusion/sampler.hpp"

namespace sdtorch {

/// What the network said of an x.
struct Evaluation {
  at::Tensor output;  ///< as it came
  at::Tensor x0;      ///< what it means, neither clamped nor thresholded
  at::Tensor eps;
};

/// A sampler's way through its plan. Steps count from 0 to steps()-1, those that the plan still has.
class SamplerRun {
 public:
  /// All three must outlive it.
  SamplerRun(const Model& model, const SamplingPlan& plan, SamplerContext& context);

  size_t steps() const { return plan_.sigmas.size() - 1; }

  /// Place of step i in the whole plan, of which the beginning may be cut away.
  size_t place(size_t i) const { return plan_.earlier.size() + i; }

  /// Noise level at which step i begins; i may be steps(), for the last step's end.
  float sigma(size_t i) const { return static_cast<float>(plan_.sigmas[i]); }

  /// Parts of a variance-preserving x at that level.
  Mixture level(size_t i) const { return mixture_of_sigma(sigma(i)); }

  /// Timestep of the next network call, or of one after it.
  double timestep(size_t ahead = 0) const { return plan_.timesteps[call_ + ahead]; }

  /// Whether the plan has another network call.
  bool has_call() const { return call_ < plan_.timesteps.size(); }

  /// The next network call, in step i, for x = signal x0 + noise eps as `at` says.
  Evaluation evaluate(size_t i, const at::Tensor& x, Mixture at);

  /// The next network call, in step i, for x = x0 + sigma eps, which the network sees at unit variance → x0.
  at::Tensor x0_at_sigma(size_t i, const at::Tensor& x, float sigma);

  /// CFG++ (Chung et al. 2024, Algorithm 2): the last network call's unconditional noise in place of the guided one,
  /// `amount` of which is in x. Without it x as it is.
  at::Tensor renoised(const at::Tensor& x, float amount) const;

  /// Unit noise of x's shape, on x's device.
  at::Tensor unit_noise(const at::Tensor& x) const;

  /// The point at which a step calls the network again → the point to call it at, which may be another.
  /// sigma: the level that it is blended at, mostly the step's end.
  at::Tensor within_step(const at::Tensor& x, double sigma) const;

  /// Ends step i, which led to x and predicted x0 → the x to go on from, which may be another.
  at::Tensor finish_step(size_t i, const at::Tensor& x, const at::Tensor& x0) const;

 private:
  /// Steps of the whole run, whichever models share it.
  int64_t steps_in_all() const;
  ModelOutput output(size_t i, const at::Tensor& x, double sigma);

  const Model& model_;
  const SamplingPlan& plan_;
  SamplerContext& context_;
  size_t call_ = 0;
  at::Tensor away_{};          ///< unconditional eps less the guided one, of the last call; undefined without CFG++
  double first_timestep_ = 0;  ///< of the step that is under way
  int64_t step_ = -1;          ///< that step
};

/// An ancestral step from `sigma` to `next`: deterministic down to `down`, then up again by noise of deviation `up`, so
/// that the variances add up (Song et al. 2020, "Score-Based Generative Modeling", section 4.2, in the frame of
/// Karras et al. 2022).
struct AncestralStep {
  float down;
  float up;
};
AncestralStep ancestral_step(float sigma, float next);

/// Slopes so far (newest last) extrapolated over the step by Adams-Bashforth, of order 4 as soon as there are four
/// (Liu et al. 2022, eq. 12).
at::Tensor adams_bashforth(const std::vector<at::Tensor>& e);

/// Halfway in log sigma from each step's level to the next one; 0 where that is 0.
std::vector<float> halfways(const SamplingPlan& plan);

/// Halfway in log sigma from each step's level to that to which an ancestral step goes down; 0 where that is 0.
std::vector<float> ancestral_halfways(const SamplingPlan& plan);

/// Adds to a history, newest last, of at most `most`.
void remember(std::vector<at::Tensor>& history, const at::Tensor& newest, size_t most);

}  // namespace sdtorch
