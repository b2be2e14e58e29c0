#include "diffusion/scheduler_config.hpp"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "core/config_reader.hpp"

namespace sdtorch {
namespace {

using nlohmann::json;

constexpr int64_t max_train_timesteps = 100'000;

/// Keys that diffusers' schedulers know and that change nothing in ours: those of samplers that we do not have, and of
/// flow matching (itself refused where it is switched on).
constexpr const char* keys_without_effect[]{
    "rho",           "sigma_data",      "sigma_schedule",       "s_noise",
    "clip_denoised", "predictor_order", "corrector_order",      "tau_func",
    "eta",           "flow_shift",      "use_dynamic_shifting", "time_shift_type",
    "shift_terminal"};

/// Keys that a file may leave out, or give as null, in any class's config: only some samplers read them.
void read_given(ConfigReader& reader, const char* key, std::string& to) {
  if (reader.given(key)) to = reader.text(key, to);
}
void read_given(ConfigReader& reader, const char* key, double& to) {
  if (reader.given(key)) to = reader.number(key, to);
}
void read_given(ConfigReader& reader, const char* key, std::optional<double>& to) {
  if (reader.given(key)) to = reader.number(key, 0);
}
void read_given(ConfigReader& reader, const char* key, int64_t& to, IntegerRange range) {
  if (reader.given(key)) to = reader.integer(key, to, range);
}

/// A list of numbers, one a timestep.
void read_given(ConfigReader& reader, const char* key, std::vector<double>& to) {
  if (!reader.given(key)) return;
  const json& list = *reader.value(key);
  if (!list.is_array() || list.empty()) reader.fail(key, "a list of numbers");
  for (const json& item : list) to.push_back(reader.as_number(key, item));
}

/// A list of indices, which may be empty.
void read_given(ConfigReader& reader, const char* key, std::vector<int64_t>& to) {
  constexpr auto expected = "a list of whole numbers";
  if (!reader.given(key)) return;
  if (!reader.value(key)->is_array()) reader.fail(key, expected);
  for (const json& item : *reader.value(key)) {
    if (!item.is_number_integer()) reader.fail_item(key, item, expected);
    to.push_back(item.get<int64_t>());
  }
}

/// A seed.
void read_given(ConfigReader& reader, const char* key, std::optional<uint64_t>& to) {
  if (!reader.given(key)) return;
  if (!reader.value(key)->is_number_unsigned()) reader.fail(key, "a whole number, 0 or more");
  to = reader.value(key)->get<uint64_t>();
}

/// A number, where minus infinity is the default and may stand there.
void read_from_minus_infinity(ConfigReader& reader, const char* key, double& to) {
  if (!reader.given(key)) return;
  const json& value = *reader.value(key);
  if (value.is_number_float() && value.get<double>() == -std::numeric_limits<double>::infinity()) return;
  to = reader.number(key, to);
}

/// One of an enumeration's names.
template <class Enum>
Enum read_named(ConfigReader& reader, const char* key, Enum fallback, std::optional<Enum> (*by_name)(std::string_view),
                const char* expected) {
  const json* value = reader.value(key);
  if (!value) return fallback;
  const std::optional<Enum> found = value->is_string() ? by_name(value->get_ref<const std::string&>()) : std::nullopt;
  if (!found) reader.fail(key, expected);
  return *found;
}

/// The prediction. diffusers before 0.6 had predict_epsilon for it, which says something only where false.
Prediction read_prediction(ConfigReader& reader) {
  constexpr auto old_key = "predict_epsilon";
  const bool epsilon = reader.flag(old_key, true) || !reader.given(old_key);
  if (epsilon || reader.given("prediction_type")) reader.outdated({old_key});
  return read_named(reader, "prediction_type", epsilon ? Prediction::epsilon : Prediction::x0, find_prediction,
                    "epsilon, v_prediction or sample");
}

void read_noise_schedule(ConfigReader& reader, SchedulerConfig& config) {
  config.num_train_timesteps =
      reader.integer("num_train_timesteps", config.num_train_timesteps, {.min = 2, .max = max_train_timesteps});
  config.beta_start = reader.number("beta_start", config.beta_start);
  config.beta_end = reader.number("beta_end", config.beta_end);
  config.beta_schedule = reader.text("beta_schedule", config.beta_schedule);
  read_given(reader, "trained_betas", config.trained_betas);
  config.rescale_betas_zero_snr = reader.flag("rescale_betas_zero_snr", config.rescale_betas_zero_snr);
  config.prediction_type = read_prediction(reader);
}

void read_levels(ConfigReader& reader, SchedulerConfig& config) {
  config.timestep_spacing =
      read_named(reader, "timestep_spacing", config.timestep_spacing, find_spacing, "leading, trailing or linspace");
  read_given(reader, "steps_offset", config.steps_offset, {.min = -max_train_timesteps, .max = max_train_timesteps});
  config.use_karras_sigmas = reader.flag("use_karras_sigmas", config.use_karras_sigmas);
  config.use_exponential_sigmas = reader.flag("use_exponential_sigmas", config.use_exponential_sigmas);
  config.use_beta_sigmas = reader.flag("use_beta_sigmas", config.use_beta_sigmas);
  config.use_lu_lambdas = reader.flag("use_lu_lambdas", config.use_lu_lambdas);
  config.use_flow_sigmas = reader.flag("use_flow_sigmas", config.use_flow_sigmas);
  read_given(reader, "sigma_min", config.sigma_min);
  read_given(reader, "sigma_max", config.sigma_max);
  read_given(reader, "final_sigmas_type", config.final_sigmas_type);
  read_given(reader, "interpolation_type", config.interpolation_type);
  read_given(reader, "timestep_type", config.timestep_type);
}

void read_clipping(ConfigReader& reader, SchedulerConfig& config) {
  config.clip_sample = reader.flag("clip_sample", config.clip_sample);
  read_given(reader, "clip_sample_range", config.clip_sample_range);
  config.thresholding = reader.flag("thresholding", config.thresholding);
  read_given(reader, "dynamic_thresholding_ratio", config.dynamic_thresholding_ratio);
  read_given(reader, "sample_max_value", config.sample_max_value);
}

void read_solver(ConfigReader& reader, SchedulerConfig& config) {
  config.set_alpha_to_one = reader.flag("set_alpha_to_one", config.set_alpha_to_one);
  config.skip_prk_steps = reader.flag("skip_prk_steps", config.skip_prk_steps);
  read_given(reader, "variance_type", config.variance_type);
  read_given(reader, "solver_order", config.solver_order, {.min = 1, .max = 3});
  read_given(reader, "algorithm_type", config.algorithm_type);
  read_given(reader, "solver_type", config.solver_type);
  config.lower_order_final = reader.flag("lower_order_final", config.lower_order_final);
  config.euler_at_final = reader.flag("euler_at_final", config.euler_at_final);
  read_from_minus_infinity(reader, "lambda_min_clipped", config.lambda_min_clipped);
  config.predict_x0 = reader.flag("predict_x0", config.predict_x0);
  read_given(reader, "disable_corrector", config.disable_corrector);
  config.has_solver_p = reader.given("solver_p");
  read_given(reader, "noise_sampler_seed", config.noise_sampler_seed);
  config.original_inference_steps =
      reader.integer("original_inference_steps", config.original_inference_steps, {.max = max_train_timesteps});
  read_given(reader, "timestep_scaling", config.timestep_scaling);
}

void check_range(const SchedulerConfig& config) {
  const auto require = [&](bool holds, std::string_view key, std::string_view expected, double found) {
    if (!holds) throw unsupported(config, key, fmt::format("expected {}, found {}", expected, found));
  };
  const auto is_beta = [](double beta) { return beta > 0 && beta < 1; };
  constexpr std::string_view beta_range = "a number between 0 and 1, both excluded";
  require(is_beta(config.beta_start), "beta_start", beta_range, config.beta_start);
  require(is_beta(config.beta_end), "beta_end", beta_range, config.beta_end);
  for (const double beta : config.trained_betas) require(is_beta(beta), "trained_betas", beta_range, beta);
  if (!config.trained_betas.empty() && std::ssize(config.trained_betas) != config.num_train_timesteps) {
    throw unsupported(config, "trained_betas",
                      fmt::format("expected num_train_timesteps ({}) values, found {}", config.num_train_timesteps,
                                  config.trained_betas.size()));
  }
  const double ratio = config.dynamic_thresholding_ratio;
  require(ratio >= 0 && ratio <= 1, "dynamic_thresholding_ratio", "a number from 0 to 1", ratio);
  require(config.clip_sample_range > 0, "clip_sample_range", "a positive number", config.clip_sample_range);
  require(config.sample_max_value > 0, "sample_max_value", "a positive number", config.sample_max_value);
  if (config.sigma_min) require(*config.sigma_min > 0, "sigma_min", "a positive number", *config.sigma_min);
  if (config.sigma_max) require(*config.sigma_max > 0, "sigma_max", "a positive number", *config.sigma_max);
}

}  // namespace

std::string_view to_string(Prediction prediction) {
  if (prediction == Prediction::v) return "v_prediction";
  return prediction == Prediction::x0 ? "sample" : "epsilon";
}

std::string_view to_string(Spacing spacing) {
  if (spacing == Spacing::leading) return "leading";
  return spacing == Spacing::trailing ? "trailing" : "linspace";
}

std::optional<Prediction> find_prediction(std::string_view name) {
  if (name == "epsilon" || name == "eps") return Prediction::epsilon;
  if (name == "v_prediction" || name == "v") return Prediction::v;
  if (name == "sample" || name == "x0" || name == "original_sample") return Prediction::x0;
  return std::nullopt;
}

std::optional<Spacing> find_spacing(std::string_view name) {
  for (const Spacing spacing : {Spacing::leading, Spacing::trailing, Spacing::linspace}) {
    if (name == to_string(spacing)) return spacing;
  }
  return std::nullopt;
}

SchedulerConfig read_scheduler_config(const json& values, const std::string& file, const SchedulerDefaults& defaults,
                                      SchedulerOrigin origin, const ReadOptions& options) {
  SchedulerConfig config{.file = file,
                         .beta_start = defaults.beta_start,
                         .beta_end = defaults.beta_end,
                         .beta_schedule = std::string(defaults.beta_schedule),
                         .timestep_spacing = defaults.timestep_spacing,
                         .clip_sample = defaults.clip_sample,
                         .set_alpha_to_one = defaults.set_alpha_to_one,
                         .lower_order_final = defaults.lower_order_final};
  ConfigReader reader(values, file, options);
  read_noise_schedule(reader, config);
  read_levels(reader, config);
  read_clipping(reader, config);
  read_solver(reader, config);
  reader.ignore(keys_without_effect);
  reader.outdated({"tensor_format", "timestep_values", "shift"});
  reader.finish();
  check_range(config);

  const auto corrects = [&](const char* key) {
    return origin == SchedulerOrigin::model || (origin == SchedulerOrigin::chosen && reader.has(key));
  };
  if (corrects("steps_offset")) config.steps_offset = 1;
  if (corrects("clip_sample")) config.clip_sample = false;
  return config;
}

Error unsupported(const SchedulerConfig& config, std::string_view key, std::string reason, std::string hint) {
  return Error(ErrorKind::model,
               {.file = config.file, .place = std::string(key), .reason = std::move(reason), .hint = std::move(hint)});
}

}  // namespace sdtorch
