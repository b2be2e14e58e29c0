#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "sdtorch/diffusion/noise_schedule.hpp"
#include "sdtorch/diffusion/sampler.hpp"

namespace sdtorch {
namespace {

constexpr std::string_view karras = "karras";
constexpr std::string_view schedulers[]{"model", karras};

Error usage(std::string flag, std::string reason, std::string hint = {}) {
  return Error(ErrorKind::usage, {.file = std::move(flag), .reason = std::move(reason), .hint = std::move(hint)});
}

std::string sampler_names() {
  std::vector<std::string_view> names;
  for (const Sampler& sampler : samplers()) names.push_back(sampler.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

/// The sampler that stands for the class in the model's file.
const Sampler& model_sampler(const nlohmann::json& config, const std::string& file) {
  const std::string hint = "choose one with --sampler: " + sampler_names();
  const auto name = config.is_object() ? config.find("_class_name") : config.end();
  if (!config.is_object()) throw Error(ErrorKind::model, {.file = file, .reason = "expected a JSON object"});
  if (name == config.end() || !name->is_string()) {
    throw Error(ErrorKind::model,
                {.file = file, .place = "_class_name", .reason = "no scheduler is named", .hint = hint});
  }
  for (const Sampler& sampler : samplers()) {
    if (name->get_ref<const std::string&>() == sampler.diffusers_class) return sampler;
  }
  throw Error(ErrorKind::model, {.file = file,
                                 .place = "_class_name",
                                 .reason = fmt::format("the scheduler {} is not supported", name->dump()),
                                 .hint = hint});
}

/// True for `karras`. Throws for what is no schedule.
bool parse_scheduler(const std::string& name) {
  if (name == karras) return true;
  if (name == schedulers[0]) return false;
  if (parse_sampler_name(name).sampler) {
    throw usage("--scheduler", fmt::format("{} is a sampler, not a sigma schedule", name), "use --sampler " + name);
  }
  throw usage("--scheduler", fmt::format("unknown schedule {}", name),
              fmt::format("expected one of {}", fmt::join(schedulers, ", ")));
}

void apply_overrides(SchedulerConfig& config, const SamplerChoice& choice) {
  if (choice.prediction) {
    const std::optional<Prediction> prediction = find_prediction(*choice.prediction);
    if (!prediction) throw usage("--prediction", "expected epsilon, v or x0, found " + *choice.prediction);
    config.prediction_type = *prediction;
  }
  if (choice.spacing) {
    const std::optional<Spacing> spacing = find_spacing(*choice.spacing);
    if (!spacing) throw usage("--spacing", "expected leading, trailing or linspace, found " + *choice.spacing);
    config.timestep_spacing = *spacing;
  }
}

/// Combinations that diffusers refuses, or that it accepts and quietly drops.
void check_combination(const Sampler& sampler, const SchedulerConfig& config, bool wants_karras) {
  if (wants_karras && !sampler.supports_karras) {
    throw usage("--scheduler", fmt::format("{} has no karras schedule", sampler.name));
  }
  if (config.prediction_type == Prediction::x0 && !sampler.supports_x0) {
    throw usage("--sampler", fmt::format("{} cannot sample a network that predicts x0", sampler.name));
  }
  if (config.rescale_betas_zero_snr && !sampler.supports_zero_snr) {
    throw usage("--sampler",
                fmt::format("{} cannot sample a model trained to zero terminal SNR (rescale_betas_zero_snr in {})",
                            sampler.name, config.file),
                "use ddim or euler");
  }
}

void check_steps(int64_t steps, const SchedulerConfig& config) {
  if (steps >= 1 && steps <= config.num_train_timesteps) return;
  throw usage("--steps", fmt::format("expected 1 to {} (the model's num_train_timesteps), found {}",
                                     config.num_train_timesteps, steps));
}

double checked_eta(const Sampler& sampler, std::optional<double> eta) {
  if (!eta) return 0;
  if (!sampler.uses_eta) throw usage("--eta", fmt::format("{} has no use for it", sampler.name), "use --sampler ddim");
  if (!(*eta >= 0 && *eta <= 1)) throw usage("--eta", fmt::format("expected a number from 0 to 1, found {}", *eta));
  return *eta;
}

}  // namespace

std::span<const std::string_view> scheduler_names() { return schedulers; }

SamplingPlan plan_sampling(const nlohmann::json& model_config, const std::string& file, const SamplerChoice& choice,
                           int64_t steps) {
  SamplerName chosen;
  if (choice.sampler) {
    chosen = parse_sampler_name(*choice.sampler);
    if (!chosen.sampler) {
      throw usage("--sampler", fmt::format("unknown sampler {}", *choice.sampler),
                  "expected one of " + sampler_names());
    }
  }
  const bool wants_karras = parse_scheduler(choice.scheduler) || chosen.karras;
  const Sampler& sampler = chosen.sampler ? *chosen.sampler : model_sampler(model_config, file);
  const SchedulerOrigin origin = !choice.corrected ? SchedulerOrigin::as_is
                                 : chosen.sampler  ? SchedulerOrigin::chosen
                                                   : SchedulerOrigin::model;

  SamplingPlan plan{.sampler = &sampler, .steps = steps};
  plan.config = read_scheduler_config(model_config, file, sampler.defaults, origin);
  plan.config.use_karras_sigmas = wants_karras || (sampler.reads_karras_key && plan.config.use_karras_sigmas);
  apply_overrides(plan.config, choice);
  check_combination(sampler, plan.config, wants_karras);
  check_steps(steps, plan.config);
  plan.eta = checked_eta(sampler, choice.eta);
  plan.alpha_bar = alpha_bars(plan.config);
  sampler.plan(plan);
  return plan;
}

at::Tensor noised_for_step(const SamplingPlan& plan, const at::Tensor& x0, const at::Tensor& noise, int64_t step) {
  const double sigma = plan.sigmas.at(static_cast<size_t>(step));
  if (plan.sampler->exploding) return add_noise_exploding(x0, noise, sigma);
  return add_noise(x0, noise, 1 / (sigma * sigma + 1));
}

at::Tensor run_sampler(const SamplingPlan& plan, const Model& model, const at::Tensor& noise, SamplerContext& context) {
  return plan.sampler->sample(model, noise * plan.init_noise_sigma, plan, context);
}

}  // namespace sdtorch
