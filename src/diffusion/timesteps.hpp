// Which training timesteps a sampler visits (Lin et al. 2023, Table 2), rounded where diffusers rounds.
#pragma once

#include <cstdint>
#include <vector>

#include "diffusion/scheduler_config.hpp"

namespace sdtorch {

/// count values evenly from first to last, both included; the first alone for count 1.
std::vector<double> linspace(double first, double last, int64_t count);

/// (count-1)·stride + offset, …, stride + offset, offset.
std::vector<double> leading_timesteps(int64_t stride, int64_t count, int64_t offset);

/// last - 1 and on downwards by `stride`, each rounded half to even, as long as they are timesteps (>= 0).
/// diffusers counts in floating point, so that for some counts (61 of 1000) it appends a timestep -1; ours does not.
std::vector<double> trailing_timesteps(int64_t last, double stride, int64_t count);

/// Descending whole timesteps by config.timestep_spacing, as DDPM, DDIM and PNDM use them.
std::vector<double> whole_timesteps(const SchedulerConfig& config, int64_t steps);

/// The same, linspace unrounded, for samplers that interpolate sigma at them.
std::vector<double> exact_timesteps(const SchedulerConfig& config, int64_t steps);

}  // namespace sdtorch
