// DPM-Solver in all of its variants, for the samplers that build on it: where it evaluates the network, and its steps.
#pragma once

#include <vector>

#include "diffusion/prediction.hpp"
#include "diffusion/sampler.hpp"
#include "diffusion/samplers/step.hpp"

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

/// DPM-Solver++ integrates the prediction of x0, DPM-Solver that of the noise; so do their stochastic forms (sde-…).
bool predicts_x0(const SchedulerConfig& config);

/// log(signal / noise) at a level, half the logarithm of the signal-to-noise ratio.
float lambda_of(double sigma);

/// What the network said at one level.
struct DpmPrediction {
  at::Tensor x0;
  at::Tensor integrated;  ///< x0 or eps, whichever the variant integrates
};

/// From what the network said of x, mixed as `here` says.
DpmPrediction dpm_prediction(const SchedulerConfig& config, const Evaluation& said, const at::Tensor& x, Mixture here);

/// The terms of a step from level `from` to `to` (Lu et al. 2022a, eq. 3.4; 2022b, eq. 9; the stochastic forms by its
/// appendix on SDEs): kept·x - scale·(phi1·m + phi2·m' + phi3·m'') + noise·z, with m', m'' the prediction's first and
/// second derivative, each scaled by the step's length to that power.
struct DpmTerms {
  float h = 0;  ///< lambda_to - lambda_from
  float kept = 1, scale = 1, phi1 = 0, phi2 = 0, phi3 = 0, noise = 0;
};
DpmTerms dpm_terms(const SchedulerConfig& config, double from, double to);

/// Order of step i of the multistep solvers: lower while the history is short, and at the end of the whole run, which
/// another model may have begun, where the config asks for it. ends_low: whether the run's last step is of order 1
/// however many there are.
int64_t multistep_order(const SamplingPlan& plan, size_t i, bool ends_low);

/// The multistep loop of dpm++2m and dpm++2m_sde.
at::Tensor sample_dpm_multistep(const Model& model, at::Tensor x, const SamplingPlan& plan, SamplerContext& context);

}  // namespace sdtorch
