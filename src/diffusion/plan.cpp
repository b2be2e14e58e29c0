#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "diffusion/level_rules.hpp"
#include "diffusion/noise_schedule.hpp"
#include "diffusion/sampler.hpp"
#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {
namespace {

constexpr double smallest_sigma = 1e-6;  // of a step: far below any model's, and far enough from 0 to divide by
constexpr double largest_sigma = 1e6;

Error usage(std::string field, std::string reason, std::string hint = {}) {
  return Error(ErrorKind::usage, {.place = std::move(field), .reason = std::move(reason), .hint = std::move(hint)});
}

std::string sampler_names() {
  std::vector<std::string_view> names;
  for (const Sampler& sampler : samplers()) names.push_back(sampler.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

/// What the classes begin with that lay out another process than Stable Diffusion's, whatever sampler is chosen.
constexpr std::pair<std::string_view, std::string_view> other_processes[]{
    {"EDM", "noise levels of EDM (Karras et al. 2022; CosXL, Playground v2.5)"},
    {"FlowMatch", "flow matching (Lipman et al. 2022; Stable Diffusion 3)"},
    {"KarrasVe", "a variance-exploding process in pixels (Karras et al. 2022)"},
    {"ScoreSdeVe", "a variance-exploding process in pixels (Song et al. 2020)"},
    {"ScoreSdeVp", "a process in continuous time (Song et al. 2020)"},
    {"CMStochastic", "consistency models in pixels (Song et al. 2023)"},
    {"VQDiffusion", "discrete diffusion (Gu et al. 2021)"},
    {"Amused", "masked tokens"},
    {"DDPMWuerstchen", "Wuerstchen"},
    {"CosineDPMSolver", "sound (Stable Audio)"},
};

/// Throws for a model whose file says that it denoises otherwise: any of our samplers would draw it wrong.
void check_process(const nlohmann::json& config, const std::string& file) {
  const auto name = config.is_object() ? config.find("_class_name") : config.end();
  if (!config.is_object() || name == config.end() || !name->is_string()) return;
  for (const auto& [start, process] : other_processes) {
    if (!name->get_ref<const std::string&>().starts_with(start)) continue;
    throw Error(ErrorKind::model,
                {.file = file,
                 .place = "_class_name",
                 .reason = fmt::format("{} is of {}, and that is not implemented", name->get<std::string>(), process)});
  }
}

/// diffusers' classes that do step by step what another does: DDIMParallelScheduler.
std::string without_parallel(std::string name) {
  constexpr std::string_view ending = "ParallelScheduler";
  if (name.ends_with(ending)) name.replace(name.size() - ending.size(), ending.size(), "Scheduler");
  return name;
}

/// The sampler that stands for the class in the model's file.
const Sampler& model_sampler(const nlohmann::json& config, const std::string& file) {
  const std::string hint = "choose one with {sampler}: " + sampler_names();
  const auto name = config.is_object() ? config.find("_class_name") : config.end();
  if (!config.is_object()) throw Error(ErrorKind::model, {.file = file, .reason = "expected a JSON object"});
  if (name == config.end() || !name->is_string()) {
    throw Error(ErrorKind::model,
                {.file = file, .place = "_class_name", .reason = "no scheduler is named", .hint = hint});
  }
  for (const Sampler& sampler : samplers()) {
    const bool exists = !sampler.diffusers_class.empty();
    if (exists && without_parallel(name->get<std::string>()) == sampler.diffusers_class) return sampler;
  }
  throw Error(ErrorKind::model, {.file = file,
                                 .place = "_class_name",
                                 .reason = fmt::format("the scheduler {} is not supported", name->dump()),
                                 .hint = hint});
}

/// Of two entries of one class, that for the config's algorithm_type.
const Sampler& variant_of(const Sampler& sampler, const SchedulerConfig& config) {
  const bool sde = config.algorithm_type.starts_with("sde-");
  for (const Sampler& other : samplers()) {
    const bool related = !other.diffusers_class.empty() && other.diffusers_class == sampler.diffusers_class;
    if (related && other.sde == sde) return other;
  }
  return sampler;
}

/// What to take instead of a name that is not here.
std::string instead_of(std::string_view nearest, const std::string& expected) {
  return nearest.empty() ? expected : fmt::format("{} comes nearest", nearest);
}

/// Throws for what is no schedule.
const SigmaSchedule& parse_scheduler(const std::string& name) {
  if (const SigmaSchedule* schedule = find_schedule(name)) return *schedule;
  if (parse_sampler_name(name).sampler) {
    throw usage("scheduler", fmt::format("{} is a sampler, not a sigma schedule", name), "use {sampler} " + name);
  }
  if (find_spacing(name)) throw usage("scheduler", fmt::format("{} is a spacing", name), "use {spacing} " + name);
  throw usage(
      "scheduler", fmt::format("unknown schedule {}", name),
      instead_of(nearest_schedule(name), fmt::format("expected one of {}", fmt::join(scheduler_names(), ", "))));
}

/// What the model's file asks for by use_karras_sigmas and its kin.
const SigmaSchedule& config_schedule(const SchedulerConfig& config) {
  struct Key {
    bool set;
    std::string_view key;
    std::string_view schedule;
  };
  const Key keys[]{{config.use_karras_sigmas, "use_karras_sigmas", "karras"},
                   {config.use_exponential_sigmas, "use_exponential_sigmas", "exponential"},
                   {config.use_beta_sigmas, "use_beta_sigmas", "beta"}};
  const Key* found = nullptr;
  for (const Key& key : keys) {
    if (!key.set) continue;
    if (found) throw unsupported(config, key.key, fmt::format("only one schedule can be used, and {} is", found->key));
    found = &key;
  }
  return *find_schedule(found ? found->schedule : "model");
}

/// The flag's schedule, else that in the sampler's name, else what the rules or the model say; the config's keys are
/// made to say the same.
const SigmaSchedule& settle_schedule(SchedulerConfig& config, const Sampler& sampler, const SigmaSchedule& flagged,
                                     const SigmaSchedule* named, ScheduleRules rules) {
  const SigmaSchedule* schedule = &flagged;
  if (!schedule->levels && named) schedule = named;
  if (!schedule->levels && rules != ScheduleRules::diffusers && has_level_rules(sampler, rules)) {
    schedule = &usual_schedule(sampler, rules);
  }
  if (flagged.levels && named && named->levels && named != &flagged) {
    throw usage("scheduler", fmt::format("{}, but {{sampler}} says {}", flagged.name, named->name), "give one of them");
  }
  // Other tools write it behind every sampler; those that work on timesteps have nothing to take from it.
  if (schedule->name == "normal" && !sampler.has_schedules) schedule = &sigma_schedules().front();
  if (schedule->levels && !sampler.has_schedules) {
    throw usage("scheduler", fmt::format("{} has no {} schedule", sampler.name, schedule->name));
  }
  if (!schedule->levels && sampler.reads_schedule_keys) schedule = &config_schedule(config);
  config.use_karras_sigmas = schedule->name == "karras";
  config.use_exponential_sigmas = schedule->name == "exponential";
  config.use_beta_sigmas = schedule->name == "beta";
  return *schedule;
}

/// Lets the rules say what nothing else does.
void settle_level_rules(SamplingPlan& plan, const SamplerChoice& choice) {
  LevelRules& rules = plan.levels;
  rules = choice.levels;
  if (!has_level_rules(*plan.sampler, rules.schedule)) rules.schedule = ScheduleRules::diffusers;
  settle_by_rules(plan.config, *plan.sampler, choice.levels.schedule);
  if (!rules.discard_next_to_last) {
    rules.discard_next_to_last = plan.listed.empty() && discards_next_to_last(*plan.sampler, rules.schedule);
  }
  if (*rules.discard_next_to_last && !has_levels(plan)) {
    throw usage("discard-next-to-last", fmt::format("{} has no use for it here", plan.sampler->name),
                "choose a {scheduler} that lays out levels, such as normal");
  }
  if (*rules.discard_next_to_last && !plan.listed.empty()) {
    throw usage("discard-next-to-last", "{sigmas} gives the noise levels already");
  }
}

/// Puts levels given outright in the schedule's place.
void apply_list(SamplingPlan& plan, const SamplerChoice& choice, bool wants_schedule) {
  const std::vector<double>& sigmas = choice.sigmas;
  if (sigmas.empty()) return;
  check_sigmas(sigmas);
  if (!plan.sampler->has_schedules) {
    throw usage("sigmas", fmt::format("{} has no use for it, since it works on timesteps", plan.sampler->name));
  }
  if (wants_schedule) throw usage("scheduler", "{sigmas} gives the noise levels already");
  if (choice.spacing) throw usage("spacing", "{sigmas} gives the noise levels already");
  if (plan.steps != std::ssize(sigmas) - 1) {
    throw usage("steps", fmt::format("{}, but {{sigmas}} gives the levels of {}", plan.steps, sigmas.size() - 1));
  }
  SchedulerConfig& config = plan.config;
  plan.schedule = &sigma_schedules().front();
  plan.listed = sigmas;
  config.use_karras_sigmas = config.use_exponential_sigmas = config.use_beta_sigmas = config.use_lu_lambdas = false;
}

void apply_overrides(SchedulerConfig& config, const Sampler& sampler, const SamplerChoice& choice) {
  if (choice.prediction) {
    const std::optional<Prediction> prediction = find_prediction(*choice.prediction);
    if (!prediction) throw usage("prediction", "expected epsilon, v or x0, found " + *choice.prediction);
    config.prediction_type = *prediction;
  }
  if (choice.spacing) {
    const std::optional<Spacing> spacing = find_spacing(*choice.spacing);
    if (!spacing) throw usage("spacing", "expected leading, trailing or linspace, found " + *choice.spacing);
    if (!sampler.uses_spacing) throw usage("spacing", fmt::format("{} has no use for it", sampler.name));
    config.timestep_spacing = *spacing;
  }
}

/// Combinations that diffusers refuses, or that it accepts and quietly drops.
void check_combination(const Sampler& sampler, const SchedulerConfig& config, bool chosen) {
  if (config.prediction_type == Prediction::x0 && !sampler.supports_x0) {
    if (!chosen) {
      throw Error(ErrorKind::model, {.file = config.file,
                                     .place = "prediction_type",
                                     .reason = fmt::format("{} cannot sample a network that predicts x0", sampler.name),
                                     .hint = "choose another {sampler}, such as ddim or dpm++2m"});
    }
    throw usage("sampler", fmt::format("{} cannot sample a network that predicts x0", sampler.name),
                "use ddim or dpm++2m");
  }
  if (config.rescale_betas_zero_snr && !sampler.supports_zero_snr) {
    if (!chosen) {
      throw Error(ErrorKind::model, {.file = config.file,
                                     .place = "rescale_betas_zero_snr",
                                     .reason = fmt::format("{} cannot sample from zero terminal SNR", sampler.name),
                                     .hint = "use {sampler} ddim or euler"});
    }
    throw usage("sampler",
                fmt::format("{} cannot sample a model trained to zero terminal SNR (rescale_betas_zero_snr in {})",
                            sampler.name, config.file),
                "use ddim or euler");
  }
}

void check_steps(int64_t steps, const SchedulerConfig& config) {
  if (steps >= 1 && steps <= config.num_train_timesteps) return;
  throw usage("steps", fmt::format("expected 1 to {} (the model's num_train_timesteps), found {}",
                                   config.num_train_timesteps, steps));
}

double checked_eta(const Sampler& sampler, std::optional<double> eta) {
  if (!eta) return 0;
  if (!sampler.uses_eta)
    throw usage("eta", fmt::format("{} has no use for it", sampler.name), "use {sampler} ddim or tcd");
  if (!(*eta >= 0 && *eta <= 1)) throw usage("eta", fmt::format("expected a number from 0 to 1, found {}", *eta));
  return *eta;
}

/// The plan for a choice, whose levels may yet be such that the sampler divides by 0.
SamplingPlan lay_out(const nlohmann::json& model_config, const std::string& file, SamplerChoice choice, int64_t steps) {
  check_process(model_config, file);
  SamplerName chosen;
  if (choice.sampler) {
    chosen = parse_sampler_name(*choice.sampler);
    if (!chosen.sampler) {
      throw usage("sampler", fmt::format("unknown sampler {}", *choice.sampler),
                  instead_of(nearest_sampler(*choice.sampler), "expected one of " + sampler_names()));
    }
  }
  if (chosen.spacing && !choice.spacing) choice.spacing = std::string(to_string(*chosen.spacing));
  const SigmaSchedule& flagged = parse_scheduler(choice.scheduler);
  const Sampler& sampler =
      as_named_by(choice.levels.schedule, chosen.sampler ? *chosen.sampler : model_sampler(model_config, file));
  // Any change makes another scheduler, if of the same class.
  const bool changed = chosen.sampler || choice.spacing || flagged.levels;
  const SchedulerOrigin origin = !choice.corrected ? SchedulerOrigin::as_is
                                 : changed         ? SchedulerOrigin::chosen
                                                   : SchedulerOrigin::model;

  SamplingPlan plan{.steps = steps, .share = choice.share, .sdxl = choice.sdxl};
  plan.config =
      read_scheduler_config(model_config, file, sampler.defaults, origin, {.ignore_unknown = choice.ignore_unknown});
  if (chosen.sampler && sampler.sde) plan.config.algorithm_type = "sde-dpmsolver++";
  plan.sampler = &variant_of(sampler, plan.config);
  plan.schedule = &settle_schedule(plan.config, sampler, flagged, chosen.schedule, choice.levels.schedule);
  apply_list(plan, choice, flagged.levels || (chosen.schedule && chosen.schedule->levels));
  settle_level_rules(plan, choice);
  apply_overrides(plan.config, sampler, choice);
  check_combination(sampler, plan.config, chosen.sampler != nullptr);
  check_steps(steps, plan.config);
  plan.eta = checked_eta(sampler, choice.eta);
  plan.alpha_bar = alpha_bars(plan.config);
  plan.sampler->plan(plan);
  scale_start(plan);
  return plan;
}

/// Whether each step begins at a level of its own, in fp32 as samplers see it: they divide by the distance of two.
bool levels_differ(const SamplingPlan& plan) {
  for (size_t i = 0; i + 2 < plan.sigmas.size(); ++i) {
    const double end = plan.ends.empty() ? plan.sigmas[i + 1] : plan.ends[i];
    if (!(static_cast<float>(end) < static_cast<float>(plan.sigmas[i]))) return false;
  }
  return plan.sigmas.back() <= plan.sigmas[plan.sigmas.size() - 2];
}

bool lays_out_well(const nlohmann::json& model_config, const std::string& file, const SamplerChoice& choice,
                   int64_t steps) {
  try {
    return levels_differ(lay_out(model_config, file, choice, steps));
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

void check_sigmas(std::span<const double> sigmas) {
  if (sigmas.size() < 2) throw usage("sigmas", "expected two levels or more: one a step, and the last");
  for (size_t i = 0; i < sigmas.size(); ++i) {
    const bool last = i + 1 == sigmas.size();
    const bool fits =
        std::isfinite(sigmas[i]) && sigmas[i] <= largest_sigma && (last ? sigmas[i] >= 0 : sigmas[i] >= smallest_sigma);
    if (!fits) {
      throw usage("sigmas", fmt::format("expected levels from {} to {}, the last may be 0; found {}", smallest_sigma,
                                        largest_sigma, sigmas[i]));
    }
    if (i > 0 && !(static_cast<float>(sigmas[i]) < static_cast<float>(sigmas[i - 1]))) {
      throw usage("sigmas", fmt::format("expected descending levels, found {} after {}", sigmas[i], sigmas[i - 1]));
    }
  }
}

SamplingPlan plan_sampling(const nlohmann::json& model_config, const std::string& file, const SamplerChoice& asked,
                           int64_t steps) {
  SamplingPlan plan = lay_out(model_config, file, asked, steps);
  if (levels_differ(plan)) return plan;
  if (!plan.listed.empty()) {
    throw usage("sigmas",
                fmt::format("two levels are so near to each other that {} cannot tell them apart", plan.sampler->name));
  }
  int64_t fewer = steps - 1;
  while (fewer > 0 && !lays_out_well(model_config, file, asked, fewer)) --fewer;
  throw usage(
      "steps",
      fmt::format("with {} two steps of {} would begin at one and the same noise level", steps, plan.sampler->name),
      fewer > 0 ? fmt::format("take at most {}", fewer) : std::string());
}

}  // namespace sdtorch
