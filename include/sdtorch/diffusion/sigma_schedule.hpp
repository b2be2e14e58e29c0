// Noise levels for the samplers that work in the variance-exploding frame (Karras et al. 2022).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sdtorch/diffusion/sampler.hpp"

namespace sdtorch {

/// sqrt((1 - alpha_bar) / alpha_bar) of every training timestep, ascending. An alpha_bar of 0 (zero terminal SNR)
/// counts as 2^-24, the smallest fp16 number, so that the last sigma is finite (4096).
std::vector<float> training_sigmas(std::span<const float> alpha_bar);

/// count noise levels from max down to min, evenly in sigma^(1/7) (Karras et al. 2022, eq. 5).
std::vector<double> karras_sigmas(double max, double min, int64_t count);

/// Linear in the timestep between neighbours, the nearest end outside. sigmas: of every training timestep.
double sigma_at(double timestep, std::span<const float> sigmas);

/// The inverse, linear in log sigma, clamped to the training range. log_sigmas: of every training timestep, ascending.
double timestep_at(double sigma, std::span<const float> log_sigmas);

/// log sigma of every training timestep in fp32.
std::vector<float> logarithms(std::span<const float> sigmas);

/// Between which noise levels `karras` runs.
enum class KarrasRange {
  timesteps,            ///< those of the first and the last spaced timestep
  config_or_timesteps,  ///< sigma_max and sigma_min of the config, and where they are absent as above
  training,             ///< those of all training timesteps, as k-diffusion's get_sigmas_karras is called
};

/// Fills timesteps, sigmas and init_noise_sigma as diffusers' Euler family does: spaced timesteps, sigma interpolated
/// between the training ones, or Karras's levels and the timesteps that belong to them; `last` follows at the end.
/// The start is unit noise times the largest sigma, or sqrt(sigma^2 + 1) with leading spacing.
void plan_sigmas(SamplingPlan& plan, KarrasRange range, double last);

/// The level after the last step by final_sigmas_type: 0, or the first training sigma.
double final_sigma(const SamplingPlan& plan);

/// Throws for sigma schedules and timestep types that diffusers' Euler family has and we do not.
void require_plain_sigmas(const SchedulerConfig& config);

}  // namespace sdtorch
