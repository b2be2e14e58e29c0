// Samplers: how a network that predicts noise turns noise into a latent.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "diffusion/noise.hpp"
#include "diffusion/scheduler_config.hpp"
#include "diffusion/schedules.hpp"

namespace sdtorch {

/// The guided network output (eps, v or x0, as SchedulerConfig::prediction_type says) at one timestep.
/// x: fp32 [B, 4, h, w], already scaled for the network; timestep: 0…num_train_timesteps-1, may be fractional.
using Model = std::function<at::Tensor(const at::Tensor& x, double timestep)>;

/// Where in a run the network is called.
struct DenoiserCall {
  int64_t step = 0;     ///< 0…steps-1
  int64_t steps = 0;    ///< in all
  double timestep = 0;  ///< 0…num_train_timesteps-1, may be fractional
  double sigma = 0;     ///< noise level of the step, in units of a variance-exploding process
};

/// What an observer learns after each step.
struct SamplerStep {
  int64_t index = 0;     ///< 0…count-1
  int64_t count = 0;     ///< steps in all
  double timestep = 0;   ///< of the step's first network call
  double sigma = 0;      ///< noise level before the step, in units of a variance-exploding process
  at::Tensor latent;     ///< x after the step, fp32 [B, 4, h, w]
  at::Tensor predicted;  ///< the x0 that the step predicted, fp32 [B, 4, h, w]
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
  bool corrected = true;                    ///< the model's pipeline corrects its scheduler (see SchedulerOrigin)
  bool sdxl = false;                        ///< the model is of SDXL's family, for which Align Your Steps differs
};

struct Sampler;

/// A sampler made ready: where it evaluates the network, and from how much noise it starts.
struct SamplingPlan {
  const Sampler* sampler = nullptr;
  const SigmaSchedule* schedule = nullptr;  ///< never nullptr in a plan that is ready
  SchedulerConfig config{};
  int64_t steps = 0;
  double eta = 0;
  bool sdxl = false;
  std::vector<double> listed{};     ///< levels given outright, in place of a schedule
  std::vector<float> alpha_bar{};   ///< of the training timesteps
  std::vector<double> timesteps{};  ///< one a network call, in order
  std::vector<double> sigmas{};     ///< one a step, and the last
  std::vector<double> earlier{};    ///< of sigmas: those of steps before these, which another model took
  std::vector<double> ends{};       ///< restart: where each step ends, since the next may begin at a higher level
  double init_noise_sigma = 1;      ///< the start latent is unit noise times this
};

struct SamplerContext {
  Noise& noise;                                       ///< for samplers that add noise on the way
  std::function<void(const SamplerStep&)> on_step{};  ///< after each step; may throw to cancel
};

/// One entry of the registry.
struct Sampler {
  std::string_view name;                      ///< canonical: ddpm, euler_a, dpm++2m_sde
  std::string_view label;                     ///< as A1111 writes it in `parameters`: "Euler a", "DPM++ 2M SDE"
  std::span<const std::string_view> aliases;  ///< other spellings of sd.cpp, A1111, ComfyUI; see find_sampler
  std::string_view diffusers_class;           ///< "EulerDiscreteScheduler"; empty: diffusers has none
  SchedulerDefaults defaults;                 ///< of that class, for keys that the model's file lacks
  bool uses_eta = false;                      ///< --eta means something
  bool uses_spacing = true;                   ///< so do --spacing and timestep_spacing
  bool has_schedules = false;                 ///< so do --scheduler and --sigmas
  bool reads_schedule_keys = false;           ///< so do use_karras_sigmas and its kin in the model's file
  bool sde = false;                           ///< of two entries of one class, that for algorithm_type sde-…
  bool supports_x0 = true;                    ///< networks that predict x0
  bool supports_zero_snr = true;              ///< models trained to zero terminal SNR
  bool cut_within_step = false;               ///< may end with a step's first call alone (see handover.hpp)
  bool exploding = false;                     ///< its latents are x0 + sigma noise, else alpha_bar's mixture
  void (*plan)(SamplingPlan&);                ///< fills timesteps, sigmas and init_noise_sigma from the rest
  /// x: fp32 [B, 4, h, w] at the first noise level → x after the last step.
  at::Tensor (*sample)(const Model&, at::Tensor x, const SamplingPlan&, SamplerContext&);
};

/// All samplers, in the order in which --help lists them.
std::span<const Sampler> samplers();

/// By canonical name, alias or diffusers' class, or nullptr. Case, spaces, underscores and hyphens do not matter.
const Sampler* find_sampler(std::string_view name);

/// What `--sampler` says: A1111 writes the schedule behind the sampler's name ("DPM++ 2M Karras").
struct SamplerName {
  const Sampler* sampler = nullptr;         ///< nullptr: unknown
  const SigmaSchedule* schedule = nullptr;  ///< nullptr: not said
};
SamplerName parse_sampler_name(std::string_view name);

/// Throws ErrorKind::usage naming --sigmas for a list that is not two or more descending levels, 0 at most the last.
void check_sigmas(std::span<const double> sigmas);

/// model_config: the model's scheduler_config.json; file: its path, for messages.
/// Throws ErrorKind::usage for a choice that the sampler does not have, ErrorKind::model for a config
/// key or value that is not supported, naming it.
SamplingPlan plan_sampling(const nlohmann::json& model_config, const std::string& file, const SamplerChoice& choice,
                           int64_t steps);

/// The latent from which `plan` continues at `step`: clean latent x0 noised to that step's level.
/// x0, noise: fp32 [B, 4, h, w]; step: 0…plan.steps.
at::Tensor noised_for_step(const SamplingPlan& plan, const at::Tensor& x0, const at::Tensor& noise, int64_t step);

/// noise: unit normal fp32 [B, 4, h, w]. Scales it, samples, returns the final latent (still times the VAE's scale).
at::Tensor run_sampler(const SamplingPlan& plan, const Model& model, const at::Tensor& noise, SamplerContext& context);

}  // namespace sdtorch
