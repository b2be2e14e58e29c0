#include <cmath>

#include "diffusion/schedules/schedules.hpp"
#include "diffusion/timesteps.hpp"

namespace sdtorch {
namespace {

constexpr double shape = 0.6;  // both parameters of the distribution

/// Its distribution function at x in 0…1/2, by the power series of the incomplete beta function
/// (NIST Digital Library of Mathematical Functions, 8.17.7).
double distribution(double x) {
  double term = 1 / shape, sum = term;
  for (int n = 1; n < 200; ++n) {
    term *= (n - shape) / n * x;
    sum += term * shape / (n + shape);
  }
  const double whole = std::exp(2 * std::lgamma(shape) - std::lgamma(2 * shape));
  return std::pow(x, shape) * sum / whole;
}

/// The inverse, by bisection to the last bit; the distribution is symmetric about 1/2.
double quantile(double probability) {
  if (probability > 0.5) return 1 - quantile(1 - probability);
  double low = 0, high = 0.5;
  for (int i = 0; i < 200; ++i) {
    const double middle = (low + high) / 2;
    (distribution(middle) < probability ? low : high) = middle;
  }
  return probability > 0 ? high : 0;
}

std::vector<double> beta_timesteps_levels(const LevelRange& range) {
  std::vector<double> sigmas;
  const auto last = static_cast<double>(range.training.size() - 1), steps = static_cast<double>(range.steps);
  double before = -1;
  for (int64_t i = 0; i < range.steps; ++i) {
    const double timestep = std::nearbyint(quantile(1 - static_cast<double>(i) / steps) * last);
    if (timestep != before) sigmas.push_back(range.training[static_cast<size_t>(timestep)]);
    before = timestep;
  }
  return sigmas;
}

}  // namespace

/// Quantiles of the distribution Beta(0.6, 0.6): dense at both ends (Lee et al. 2024, "Beta Sampling is All You Need").
/// Of the levels, but with ComfyUI of the timesteps, the nearest whole ones, where a level that comes twice counts
/// once.
std::vector<double> beta_levels(const LevelRange& range) {
  if (range.rules == ScheduleRules::comfy) return beta_timesteps_levels(range);
  std::vector<double> sigmas = linspace(0, 1, range.steps);
  for (double& sigma : sigmas) sigma = range.min + quantile(1 - sigma) * (range.max - range.min);
  return sigmas;
}

}  // namespace sdtorch
