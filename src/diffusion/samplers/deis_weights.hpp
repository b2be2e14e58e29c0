// The weights of DEIS.
#pragma once

#include <vector>

#include "diffusion/sampler.hpp"

namespace sdtorch {

/// Settles algorithm_type, names of related solvers included, as diffusers maps them. Throws ErrorKind::model for what
/// is not supported.
void settle_deis_variant(SchedulerConfig& config);

/// For step i and order 2 or 3, newest prediction first: the integral over rho, from the step's level to the next, of
/// the Lagrange polynomials in log rho through the last levels (Zhang & Chen 2022, eq. 15).
std::vector<float> deis_weights(const SamplingPlan& plan, size_t i, size_t order);

}  // namespace sdtorch
