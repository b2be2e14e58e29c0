#include "diffusion/timesteps.hpp"

#include <algorithm>
#include <cmath>

namespace sdtorch {

std::vector<double> linspace(double first, double last, int64_t count) {
  std::vector<double> values;
  values.reserve(static_cast<size_t>(count));
  const double stride = count > 1 ? (last - first) / static_cast<double>(count - 1) : 0;
  for (int64_t i = 0; i < count; ++i) values.push_back(static_cast<double>(i) * stride + first);
  if (count > 1) values.back() = last;
  return values;
}

std::vector<double> leading_timesteps(int64_t stride, int64_t count, int64_t offset) {
  std::vector<double> values;
  values.reserve(static_cast<size_t>(count));
  for (int64_t i = count - 1; i >= 0; --i) values.push_back(static_cast<double>(i * stride + offset));
  return values;
}

std::vector<double> trailing_timesteps(int64_t last, double stride, int64_t count) {
  const auto start = static_cast<double>(last);
  const double delta = (start - stride) - start;  // what numpy.arange adds, rounding included
  std::vector<double> values;
  values.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const double timestep = std::nearbyint(start + static_cast<double>(i) * delta) - 1;
    if (timestep < 0) break;
    values.push_back(timestep);
  }
  return values;
}

std::vector<double> exact_timesteps(const SchedulerConfig& config, int64_t steps) {
  const int64_t total = config.num_train_timesteps;
  if (config.timestep_spacing == Spacing::leading) return leading_timesteps(total / steps, steps, config.steps_offset);
  if (config.timestep_spacing == Spacing::trailing) {
    return trailing_timesteps(total, static_cast<double>(total) / static_cast<double>(steps), steps);
  }
  std::vector<double> ascending = linspace(0, static_cast<double>(total - 1), steps);
  std::ranges::reverse(ascending);
  return ascending;
}

std::vector<double> whole_timesteps(const SchedulerConfig& config, int64_t steps) {
  std::vector<double> timesteps = exact_timesteps(config, steps);
  for (double& t : timesteps) t = std::nearbyint(t);
  return timesteps;
}

}  // namespace sdtorch
