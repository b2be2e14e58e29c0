// Noise levels for the samplers that work in the variance-exploding frame (Karras et al. 2022).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "diffusion/sampler.hpp"

namespace sdtorch {

/// sqrt((1 - alpha_bar) / alpha_bar) of every training timestep, ascending. An alpha_bar of 0 (zero terminal SNR)
/// counts as 2^-24, the smallest fp16 number, so that the last sigma is finite (4096).
std::vector<float> training_sigmas(std::span<const float> alpha_bar);

/// A plan's: as above, or where another tool's rules lay out its levels, in float64 and rounded once, as such tools
/// compute them.
std::vector<float> training_sigmas(const SamplingPlan& plan);

/// Linear in the timestep between neighbours, the nearest end outside. sigmas: of every training timestep.
double sigma_at(double timestep, std::span<const float> sigmas);

/// The inverse, linear in log sigma, clamped to the training range. log_sigmas: of every training timestep, ascending.
double timestep_at(double sigma, std::span<const float> log_sigmas);

/// The timestep that the network is told for a level, as the plan's rules round it. log_sigmas: as above.
double timestep_of_level(const SamplingPlan& plan, double sigma, std::span<const float> log_sigmas);

/// log sigma of every training timestep in fp32.
std::vector<float> logarithms(std::span<const float> sigmas);

/// Between which noise levels a bounded schedule runs.
enum class LevelBounds {
  timesteps,            ///< karras: those of the first and the last spaced timestep; others: as the next
  config_or_timesteps,  ///< sigma_max and sigma_min of the config, and where they are absent those timesteps'
  config_or_training,   ///< the same, and where they are absent those of all training timesteps
  training,             ///< those of all training timesteps, as k-diffusion's schedules are called
};

/// Whether the plan's levels come from a list or a schedule, and not from timesteps.
bool has_levels(const SamplingPlan& plan);

/// Those levels, one a step; a schedule that ends at another level than the sampler's sets the plan's end. training:
/// sigma of every training timestep; first, last: of the spaced timesteps.
struct TimestepLevels {
  double first;
  double last;
};
std::vector<double> chosen_levels(SamplingPlan& plan, std::span<const float> training, LevelBounds bounds,
                                  TimestepLevels spaced);

/// Fills timesteps, sigmas and init_noise_sigma as diffusers' Euler family does: spaced timesteps, sigma interpolated
/// between the training ones, or chosen levels and the timesteps that belong to them; `last`, or the end of the list,
/// follows. The start is unit noise times the largest sigma, or sqrt(sigma^2 + 1) with leading spacing.
struct SigmaPlan {
  LevelBounds bounds = LevelBounds::config_or_timesteps;
  double last = 0;               ///< the level after the last step
  bool exact_timesteps = false;  ///< sigma is interpolated at timesteps that are not rounded to fp32 before
};
void plan_sigmas(SamplingPlan& plan, const SigmaPlan& how);

/// The level halfway from `sigma` to `next` in log sigma; 0 where next is 0.
float halfway_sigma(float sigma, float next);

/// Karras's levels take the nearest whole timestep with some of diffusers' samplers.
void round_karras_timesteps(SamplingPlan& plan);

/// For samplers that evaluate the network twice a step, the second time at `ahead[i]`, or, where that is 0, not at all:
/// the timesteps of the second calls are put between those of the first.
void add_second_calls(SamplingPlan& plan, std::span<const float> ahead);

/// The level after the last step by final_sigmas_type: 0, or the first training sigma.
double final_sigma(const SamplingPlan& plan);

}  // namespace sdtorch
