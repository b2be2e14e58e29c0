// Where DPM-Solver and its relatives evaluate the network, and which of its variants the config asks for.
#pragma once

#include "diffusion/sampler.hpp"

namespace sdtorch {

/// Settles algorithm_type and solver_type of DPM-Solver, names of related solvers included, as diffusers maps them.
/// Throws ErrorKind::model for variants that do not exist.
void settle_dpm_variant(SchedulerConfig& config);

/// How the relatives differ in where they evaluate.
struct DpmLevels {
  bool clips_lambda = true;       ///< they leave out timesteps below lambda_min_clipped
  bool has_lu_lambdas = false;    ///< they read use_lu_lambdas
  bool truncates_cosine = false;  ///< Karras's levels of a cosine schedule take the timestep below, not the nearest
};

/// Fills timesteps, steps, init_noise_sigma, and sigmas but for the last.
void plan_dpm_levels(SamplingPlan& plan, const DpmLevels& how);

/// Adds the last level, or the end of the list that was given in place of all of them, and rounds all to fp32.
/// ends_at_zero: whether the solver has a finite last step to level 0; if not, throws ErrorKind::usage for a list that
/// ends there.
void finish_dpm_levels(SamplingPlan& plan, double last, bool ends_at_zero);

}  // namespace sdtorch
