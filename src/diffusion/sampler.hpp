// Samplers: how a network that predicts noise turns noise into a latent.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "diffusion/noise.hpp"
#include "diffusion/scheduler_config.hpp"
#include "diffusion/schedules.hpp"
#include "diffusion/spelling.hpp"

namespace sdtorch {

/// Where on the run a network call lies.
struct DenoiserCall {
  int64_t step = 0;     ///< 0…steps-1, of the whole run, whichever models share it
  int64_t steps = 0;    ///< steps in all
  int64_t call = 0;     ///< 0…: which of the plan's calls
  double timestep = 0;  ///< 0…num_train_timesteps-1, may be fractional
  double sigma = 0;     ///< noise level of x in units of a variance-exploding process; infinite for pure noise
};

/// What a network says of an x, fp32 [B, 4, h, w]: eps, v or x0, as SchedulerConfig::prediction_type says.
struct ModelOutput {
  ModelOutput(at::Tensor guided_output, at::Tensor unguided_output = {})  // NOLINT: most say no more than a tensor
      : guided(std::move(guided_output)), unguided(std::move(unguided_output)) {}

  at::Tensor guided;    ///< what the step goes by
  at::Tensor unguided;  ///< CFG++: the unconditional output, which renews the noise; undefined: the guided one does
};

/// The network at one call. x: fp32 [B, 4, h, w], already scaled for it.
using Model = std::function<ModelOutput(const at::Tensor& x, const DenoiserCall& call)>;

/// What the end of a step shows.
struct SamplerStep {
  int64_t index = 0;      ///< 0…count-1, of the whole run
  int64_t count = 0;      ///< steps in all
  double timestep = 0;    ///< of the step's first network call
  double sigma = 0;       ///< noise level before the step, in units of a variance-exploding process
  double next_sigma = 0;  ///< noise level of `latent`, in the same units
  at::Tensor latent;      ///< x after the step, fp32 [B, 4, h, w]
  at::Tensor predicted;   ///< the x0 that the step predicted, fp32 [B, 4, h, w]
};

/// Timesteps of noise levels that lie between those of whole timesteps.
enum class TimestepRounding {
  own,     ///< as diffusers' sampler has it
  none,    ///< between them, linear in log sigma (k-diffusion without its quantisation, stable-diffusion.cpp)
  nearest  ///< the nearest whole one in log sigma (ComfyUI)
};

/// How another tool than diffusers lays out noise levels. Unset ones are what its schedule rules say.
struct LevelRules {
  ScheduleRules schedule = ScheduleRules::diffusers;
  TimestepRounding timesteps = TimestepRounding::own;
  std::optional<bool> discard_next_to_last{};  ///< a level more, and without the one before the last
  /// The start noise times sqrt(1 + sigma^2), if the first level is the model's largest, instead of sigma; unset: as
  /// the model's config leads to.
  std::optional<bool> sgm_start{};
};

/// What the user chose; empty choices are the model's own.
struct SamplerChoice {
  std::optional<std::string> sampler{};     ///< a name or alias in the registry, any case
  std::string scheduler = "model";          ///< sigma schedule: a name or alias in sigma_schedules(), any case
  std::vector<double> sigmas{};             ///< noise levels given outright, one a step and the last, descending
  std::optional<std::string> spacing{};     ///< leading, trailing, linspace
  std::optional<double> eta{};              ///< DDIM's eta, TCD's gamma
  std::optional<std::string> prediction{};  ///< epsilon, v_prediction, sample: overrides the model's
  bool ignore_unknown = false;              ///< of the model's config (see ReadOptions)
  double share = 1;                         ///< consistency samplers: see SamplingPlan
  bool corrected = true;                    ///< the model's pipeline corrects its scheduler (see SchedulerOrigin)
  bool sdxl = false;                        ///< the model is of SDXL's family, for which Align Your Steps differs
  LevelRules levels{};                      ///< how another tool lays out its levels
};

struct Sampler;

/// A sampler made ready: where it evaluates the network, and from how much noise it starts.
struct SamplingPlan {
  const Sampler* sampler = nullptr;
  const SigmaSchedule* schedule = nullptr;  ///< never nullptr in a plan that is ready
  SchedulerConfig config{};
  int64_t steps = 0;
  double eta = 0;
  double share = 1;  ///< consistency samplers: of the training timesteps, from the cleanest, that the steps lie in; 0…1
  bool sdxl = false;
  LevelRules levels{};
  std::vector<double> listed{};     ///< levels given outright, in place of a schedule
  std::optional<double> end{};      ///< the last level, where the schedule says another than the sampler's
  std::vector<float> alpha_bar{};   ///< of the training timesteps
  std::vector<double> timesteps{};  ///< one a network call, in order
  std::vector<double> sigmas{};     ///< one a step, and the last
  std::vector<double> earlier{};    ///< of sigmas: those of steps before these, which are not taken
  std::vector<double> ends{};       ///< restart: where each step ends, since the next may begin at a higher level
  double init_noise_sigma = 1;      ///< the start latent is unit noise times this
};

struct SamplerContext {
  Noise& noise;  ///< for samplers that add noise on the way
  /// After each step; gives back another x to go on from, at the same noise level and of the same shape, or an
  /// undefined tensor to leave it. May throw to cancel.
  std::function<at::Tensor(const SamplerStep&)> after_step{};
  /// At the second network call of a step that takes two. Gives back another x to evaluate, or an undefined tensor.
  /// sigma: the level at which something else is to be blended with it, mostly that of the step's end.
  std::function<at::Tensor(const at::Tensor& x, double sigma)> within_step{};
  int64_t first_step = 0;  ///< steps of the run before the plan's, which another model took
  int64_t steps = 0;       ///< steps of the whole run; 0: first_step and the plan's own
};

/// One entry of the registry.
struct Sampler {
  std::string_view name;               ///< canonical: ddpm, euler_a, dpm++2m_sde
  std::string_view label;              ///< as A1111 writes it in `parameters`: "Euler a", "DPM++ 2M SDE"
  Aliases aliases{};                   ///< other spellings of sd.cpp, A1111 and ComfyUI; see find_sampler
  std::string_view diffusers_class{};  ///< "EulerDiscreteScheduler"; empty: diffusers has none
  SchedulerDefaults defaults{};        ///< of that class, for keys that the model's file lacks
  bool uses_eta = false;               ///< eta means something
  bool uses_spacing = true;            ///< so does timestep_spacing
  bool has_schedules = false;          ///< so do a schedule and a list of sigmas
  bool reads_schedule_keys = false;    ///< so do use_karras_sigmas and its kin in the model's file
  bool sde = false;                    ///< of two entries of one class, that for algorithm_type sde-…
  bool supports_x0 = true;             ///< networks that predict x0
  bool supports_zero_snr = true;       ///< models trained to zero terminal SNR
  bool renoises_unguided = false;      ///< heeds ModelOutput::unguided (CFG++)
  bool exploding = false;              ///< its latents are x0 + sigma noise, else alpha_bar's mixture
  int64_t calls_per_step = 1;          ///< network calls, of which the last step may leave some out
  bool cut_within_step = false;        ///< may end with a step's first call alone (see start.hpp)
  void (*plan)(SamplingPlan&);         ///< fills timesteps, sigmas and init_noise_sigma from the rest
  /// x: fp32 [B, 4, h, w] at the first noise level → x after the last step.
  at::Tensor (*sample)(const Model&, at::Tensor x, const SamplingPlan&, SamplerContext&);
  /// Drops the steps before `first` from a whole plan; nullptr: as start.hpp does for most.
  void (*begin_at)(SamplingPlan&, int64_t first) = nullptr;
};

/// All samplers, in the order in which they are listed.
std::span<const Sampler> samplers();

/// By canonical name, alias or diffusers' class, or nullptr. Case, spaces, underscores and hyphens do not matter.
const Sampler* find_sampler(std::string_view name);

/// What a sampler's name says: A1111 writes the schedule behind the sampler's name ("DPM++ 2M Karras").
struct SamplerName {
  const Sampler* sampler = nullptr;         ///< nullptr: unknown
  const SigmaSchedule* schedule = nullptr;  ///< nullptr: not said
  std::optional<Spacing> spacing{};         ///< said by stable-diffusion.cpp's "ddim_trailing"
};
SamplerName parse_sampler_name(std::string_view name);

/// The canonical name of what comes nearest to a sampler of another tool that is not here, a schedule behind its name
/// or none; empty: not known either.
std::string_view nearest_sampler(std::string_view name);

/// Throws ErrorKind::usage naming `sigmas` for a list that is not two or more descending levels, 0 at most the last.
void check_sigmas(std::span<const double> sigmas);

/// model_config: the model's scheduler_config.json; file: its path, for messages.
/// Throws ErrorKind::usage for a choice that the sampler does not have, ErrorKind::model for a config
/// key or value that is not supported, naming it.
SamplingPlan plan_sampling(const nlohmann::json& model_config, const std::string& file, const SamplerChoice& choice,
                           int64_t steps);

}  // namespace sdtorch
