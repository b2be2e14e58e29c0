// Sigma schedules: how noise levels are spread over a run, for the samplers that work on levels.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "diffusion/spelling.hpp"

namespace sdtorch {

/// Whose levels a schedule's name means, where tools differ: these apart, our own are diffusers'.
enum class ScheduleRules { diffusers, a1111, comfy, sdcpp };

/// What a schedule spreads its levels over.
struct LevelRange {
  std::span<const float> training{};  ///< sigma of every training timestep, ascending
  double max = 0;                     ///< level of the first step
  double min = 0;                     ///< level of the last step
  int64_t steps = 1;                  ///< how many levels to choose, 1 or more
  bool sdxl = false;                  ///< the model is of SDXL's family
  ScheduleRules rules = ScheduleRules::diffusers;
};

/// One entry of the registry of schedules.
struct SigmaSchedule {
  std::string_view name;   ///< canonical: model, karras, sgm_uniform
  std::string_view label;  ///< as A1111 writes it behind `Schedule type:`
  Aliases aliases{};       ///< other spellings; see find_schedule
  bool bounded = false;    ///< runs from LevelRange::max to min, else over the training levels
  std::vector<double> (*levels)(const LevelRange&);  ///< descending; nullptr: the levels of the sampler's own timesteps
};

/// All schedules, in the order in which they are listed; the first is the model's own.
std::span<const SigmaSchedule> sigma_schedules();

/// By canonical name or alias, or nullptr. Case, spaces, underscores and hyphens do not matter.
const SigmaSchedule* find_schedule(std::string_view name);

/// The canonical name of what comes nearest to a schedule of another tool that is not here; empty: not known either.
std::string_view nearest_schedule(std::string_view name);

/// The canonical names.
std::span<const std::string_view> scheduler_names();

/// count noise levels from max down to min, evenly in sigma^(1/7) (Karras et al. 2022, eq. 5).
std::vector<double> karras_sigmas(double max, double min, int64_t count);

}  // namespace sdtorch
