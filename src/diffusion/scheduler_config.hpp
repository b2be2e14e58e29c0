// The keys of scheduler_config.json that decide a noise schedule and a trajectory.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"
#include "core/read_options.hpp"

namespace sdtorch {

/// What the network's output is: the noise, v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x0 (Salimans & Ho 2022),
/// or the clean latent.
enum class Prediction { epsilon, v, x0 };

/// How inference timesteps are picked from the training ones (Lin et al. 2023, Table 2).
enum class Spacing { leading, trailing, linspace };

/// diffusers' names of these: epsilon, v_prediction, sample; leading, trailing, linspace.
std::string_view to_string(Prediction prediction);
std::string_view to_string(Spacing spacing);

/// By diffusers' name or a common short one (eps, v, x0), or nothing.
std::optional<Prediction> find_prediction(std::string_view name);
std::optional<Spacing> find_spacing(std::string_view name);

/// Defaults that differ between diffusers' scheduler classes.
struct SchedulerDefaults {
  Spacing timestep_spacing = Spacing::linspace;
  double beta_start = 0.0001;
  double beta_end = 0.02;
  std::string_view beta_schedule = "linear";
  bool clip_sample = false;
  bool set_alpha_to_one = true;
  bool lower_order_final = true;
};

/// The keys, with diffusers' names and defaults. Keys that only one sampler reads are checked by that sampler's plan.
struct SchedulerConfig {
  std::string file{};  ///< where it was read, for messages

  int64_t num_train_timesteps = 1000;    ///< 2…100000
  double beta_start = 0.0001;            ///< beta of the first timestep, 0…1, both excluded
  double beta_end = 0.02;                ///< beta of the last timestep, 0…1, both excluded
  std::string beta_schedule = "linear";  ///< linear, scaled_linear, squaredcos_cap_v2
  std::vector<double> trained_betas{};   ///< one a timestep, in place of a schedule
  bool rescale_betas_zero_snr = false;   ///< the last alpha_bar is 0 (Lin et al. 2023, Algorithm 1)
  Prediction prediction_type = Prediction::epsilon;

  Spacing timestep_spacing = Spacing::linspace;
  int64_t steps_offset = 0;        ///< added to leading timesteps
  bool use_karras_sigmas = false;  ///< Karras et al. 2022, eq. 5
  bool use_exponential_sigmas = false;
  bool use_beta_sigmas = false;
  bool use_lu_lambdas = false;  ///< uniform in log-sigma (Lu et al. 2022)
  bool use_flow_sigmas = false;
  std::optional<double> sigma_min{};  ///< of the Karras schedule; none: the timesteps' own
  std::optional<double> sigma_max{};
  std::string final_sigmas_type = "zero";  ///< zero, sigma_min
  std::string interpolation_type = "linear";
  std::string timestep_type = "discrete";

  bool clip_sample = false;  ///< x0 is clamped to ±clip_sample_range
  double clip_sample_range = 1;
  bool thresholding = false;                  ///< dynamic thresholding (Saharia et al. 2022)
  double dynamic_thresholding_ratio = 0.995;  ///< quantile, 0…1
  double sample_max_value = 1;

  bool set_alpha_to_one = true;  ///< DDIM, PNDM: alpha_bar after the last step is 1, else the first's
  bool skip_prk_steps = false;   ///< PNDM: no Runge-Kutta warm-up
  std::string variance_type{};   ///< DDPM: fixed_small, …; empty is the class's default

  int64_t solver_order = 2;  ///< DPM-Solver, UniPC, DEIS: 1…3
  std::string algorithm_type = "dpmsolver++";
  std::string solver_type = "midpoint";
  bool lower_order_final = true;
  bool euler_at_final = false;
  double lambda_min_clipped = -std::numeric_limits<double>::infinity();

  bool predict_x0 = true;                        ///< UniPC: works on x0, else on the noise
  std::vector<int64_t> disable_corrector{};      ///< UniPC: steps after which the corrector is left out
  bool has_solver_p = false;                     ///< UniPC: another scheduler predicts
  std::optional<uint64_t> noise_sampler_seed{};  ///< DPMSolverSDEScheduler: none: the image's own seed
  int64_t original_inference_steps = 50;         ///< LCM, TCD: steps of the distillation
  double timestep_scaling = 10;                  ///< LCM: how fast the boundary condition lets go
};

/// Whose scheduler the keys are for.
enum class SchedulerOrigin {
  model,   ///< the class that the file names, as StableDiffusionPipeline loads it
  chosen,  ///< another one, or the same with a change, as `XScheduler.from_config(pipe.scheduler.config)` makes it
  as_is,   ///< either, in a pipeline that corrects nothing, such as StableDiffusionXLPipeline
};

/// Reads a scheduler_config.json. Keys that are absent take `defaults`; StableDiffusionPipeline's corrections
/// (steps_offset 1, clip_sample false) reach a chosen scheduler only where the key stands in the file.
/// Throws ErrorKind::model for an unknown key (see ReadOptions), a wrong type or a value out of range.
SchedulerConfig read_scheduler_config(const nlohmann::json& json, const std::string& file,
                                      const SchedulerDefaults& defaults, SchedulerOrigin origin,
                                      const ReadOptions& options = {});

/// An ErrorKind::model naming config.file and the key.
Error unsupported(const SchedulerConfig& config, std::string_view key, std::string reason, std::string hint = {});

}  // namespace sdtorch
