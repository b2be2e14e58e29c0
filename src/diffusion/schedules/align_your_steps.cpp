#include <algorithm>
#include <array>
#include <cmath>

#include "diffusion/schedules/schedules.hpp"
#include "diffusion/timesteps.hpp"

namespace sdtorch {
namespace {

using Levels = std::array<double, 11>;

constexpr Levels sd1_levels{14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029};
constexpr Levels sdxl_levels{14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029};

}  // namespace

/// The levels that Align Your Steps found best for 10 steps (Sabour et al. 2024, and the tables published with it);
/// for other counts linear in log sigma between them, as its authors advise. The last of the steps + 1 levels gives
/// way to the sampler's own end; A1111 spreads as many levels as there are steps, and ends behind them.
std::vector<double> align_your_steps_levels(const LevelRange& range) {
  const Levels& table = range.sdxl ? sdxl_levels : sd1_levels;
  const bool all = range.rules == ScheduleRules::a1111;
  std::vector<double> sigmas = linspace(0, static_cast<double>(table.size() - 1), range.steps + (all ? 0 : 1));
  if (!all) sigmas.pop_back();
  for (double& sigma : sigmas) {
    const size_t low = std::min(static_cast<size_t>(sigma), table.size() - 2);
    const double weight = sigma - static_cast<double>(low);
    sigma = std::exp((1 - weight) * std::log(table[low]) + weight * std::log(table[low + 1]));
  }
  return sigmas;
}

}  // namespace sdtorch
