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

}  // namespace

/// Quantiles of the distribution Beta(0.6, 0.6): dense at both ends (Lee et al. 2024, "Beta Sampling is All You Need").
std::vector<double> beta_levels(const LevelRange& range) {
  std::vector<double> sigmas = linspace(0, 1, range.steps);
  for (double& sigma : sigmas) sigma = range.min + quantile(1 - sigma) * (range.max - range.min);
  return sigmas;
}

}  // namespace sdtorch
