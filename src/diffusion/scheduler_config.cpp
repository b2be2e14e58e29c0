#include "diffusion/scheduler_config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

namespace sdtorch {
namespace {

using nlohmann::json;

constexpr int64_t max_train_timesteps = 100'000;

/// Keys that diffusers' schedulers know and that change nothing in ours: those of samplers that we do not have,
/// of flow matching (itself refused where it is switched on), and of files older than diffusers 0.3.
constexpr std::array<std::string_view, 8> keys_without_effect{
    "rho",        "shift_terminal", "sigma_data",           "sigma_schedule",
    "flow_shift", "tensor_format",  "use_dynamic_shifting", "time_shift_type"};

std::string shown(const json& value) {
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  constexpr size_t most = 40;
  return text.size() > most ? text.substr(0, most) + "…" : text;
}

/// Reads keys one by one and remembers which ones were asked for.
class Reader {
 public:
  Reader(const json& values, const std::string& file) : values_(values), file_(file) {
    if (!values.is_object()) throw Error(ErrorKind::model, {.file = file, .reason = "expected a JSON object"});
  }

  bool has(std::string_view key) const { return values_.contains(key); }

  void read(std::string_view key, bool& to) {
    if (const json* value = find(key)) {
      if (!value->is_boolean() && !value->is_null()) fail(key, *value, "true or false");
      to = value->is_boolean() && value->get<bool>();  // diffusers' optional flags may be null
    }
  }

  void read(std::string_view key, std::string& to) {
    if (const json* value = find(key)) {
      if (!value->is_string()) fail(key, *value, "a string");
      to = value->get<std::string>();
    }
  }

  void read(std::string_view key, int64_t& to, int64_t low, int64_t high) {
    if (const json* value = find(key)) {
      const bool fits = value->is_number_integer() &&
                        (!value->is_number_unsigned() || value->get<uint64_t>() <= static_cast<uint64_t>(high)) &&
                        value->get<int64_t>() >= low && value->get<int64_t>() <= high;
      if (!fits) fail(key, *value, fmt::format("an integer from {} to {}", low, high));
      to = value->get<int64_t>();
    }
  }

  void read(std::string_view key, double& to) {
    if (const json* value = find(key)) to = number(key, *value);
  }

  void read(std::string_view key, std::optional<double>& to) {
    const json* value = find(key);
    if (value && !value->is_null()) to = number(key, *value);
  }

  /// A seed, or null for none.
  void read(std::string_view key, std::optional<uint64_t>& to) {
    const json* value = find(key);
    if (!value || value->is_null()) return;
    if (!value->is_number_unsigned()) fail(key, *value, "a whole number, 0 or more");
    to = value->get<uint64_t>();
  }

  /// A list of indices.
  void read(std::string_view key, std::vector<int64_t>& to) {
    const json* value = find(key);
    if (!value) return;
    if (!value->is_array()) fail(key, *value, "a list of whole numbers");
    for (const json& item : *value) {
      if (!item.is_number_integer()) fail(key, item, "a whole number");
      to.push_back(item.get<int64_t>());
    }
  }

  /// Whether the key holds anything.
  void read_presence(std::string_view key, bool& to) {
    const json* value = find(key);
    to = value && !value->is_null();
  }

  /// One of an enumeration's names.
  template <class Enum>
  void read(std::string_view key, Enum& to, std::optional<Enum> (*by_name)(std::string_view),
            std::string_view expected) {
    const json* value = find(key);
    if (!value) return;
    const std::optional<Enum> found = value->is_string() ? by_name(value->get_ref<const std::string&>()) : std::nullopt;
    if (!found) fail(key, *value, expected);
    to = *found;
  }

  /// A list of numbers, or null for none.
  void read(std::string_view key, std::vector<double>& to) {
    const json* value = find(key);
    if (!value || value->is_null()) return;
    if (!value->is_array() || value->empty()) fail(key, *value, "a list of numbers");
    for (const json& item : *value) to.push_back(number(key, item));
  }

  /// A string, or null for none.
  void read_optional(std::string_view key, std::string& to) {
    const json* value = find(key);
    if (value && !value->is_null()) read(key, to);
  }

  /// A number, where minus infinity is the default and may stand there.
  void read_from_minus_infinity(std::string_view key, double& to) {
    const json* value = find(key);
    if (!value) return;
    if (value->is_number_float() && value->get<double>() == -std::numeric_limits<double>::infinity()) return;
    to = number(key, *value);
  }

  void ignore(std::string_view key) { find(key); }

  /// Every key must have been asked for; those that begin with _ are diffusers' notes to itself.
  void finish() const {
    for (const auto& [key, value] : values_.items()) {
      if (key.starts_with('_') || std::ranges::find(known_, key) != known_.end()) continue;
      throw Error(ErrorKind::model, {.file = file_,
                                     .place = shown(key),
                                     .reason = "unknown key in a scheduler's configuration",
                                     .hint = "remove it if it does not change the pictures"});
    }
  }

 private:
  const json* find(std::string_view key) {
    known_.emplace_back(key);
    const auto found = values_.find(key);
    return found == values_.end() ? nullptr : &*found;
  }

  double number(std::string_view key, const json& value) const {
    if (!value.is_number() || !std::isfinite(value.get<double>())) fail(key, value, "a number");
    return value.get<double>();
  }

  [[noreturn]] void fail(std::string_view key, const json& value, std::string_view expected) const {
    throw Error(ErrorKind::model, {.file = file_,
                                   .place = std::string(key),
                                   .reason = fmt::format("expected {}, found {}", expected, shown(value))});
  }

  const json& values_;
  const std::string& file_;
  std::vector<std::string> known_{};
};

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
                                      SchedulerOrigin origin) {
  SchedulerConfig config{.file = file,
                         .beta_start = defaults.beta_start,
                         .beta_end = defaults.beta_end,
                         .beta_schedule = std::string(defaults.beta_schedule),
                         .timestep_spacing = defaults.timestep_spacing,
                         .clip_sample = defaults.clip_sample,
                         .set_alpha_to_one = defaults.set_alpha_to_one,
                         .lower_order_final = defaults.lower_order_final};
  Reader reader(values, file);
  reader.read("num_train_timesteps", config.num_train_timesteps, 2, max_train_timesteps);
  reader.read("beta_start", config.beta_start);
  reader.read("beta_end", config.beta_end);
  reader.read("beta_schedule", config.beta_schedule);
  reader.read("trained_betas", config.trained_betas);
  reader.read("rescale_betas_zero_snr", config.rescale_betas_zero_snr);
  reader.read("prediction_type", config.prediction_type, find_prediction, "epsilon, v_prediction or sample");
  reader.read("timestep_spacing", config.timestep_spacing, find_spacing, "leading, trailing or linspace");
  reader.read("steps_offset", config.steps_offset, -max_train_timesteps, max_train_timesteps);
  reader.read("use_karras_sigmas", config.use_karras_sigmas);
  reader.read("use_exponential_sigmas", config.use_exponential_sigmas);
  reader.read("use_beta_sigmas", config.use_beta_sigmas);
  reader.read("use_lu_lambdas", config.use_lu_lambdas);
  reader.read("use_flow_sigmas", config.use_flow_sigmas);
  reader.read("sigma_min", config.sigma_min);
  reader.read("sigma_max", config.sigma_max);
  reader.read("final_sigmas_type", config.final_sigmas_type);
  reader.read("interpolation_type", config.interpolation_type);
  reader.read("timestep_type", config.timestep_type);
  reader.read("clip_sample", config.clip_sample);
  reader.read("clip_sample_range", config.clip_sample_range);
  reader.read("thresholding", config.thresholding);
  reader.read("dynamic_thresholding_ratio", config.dynamic_thresholding_ratio);
  reader.read("sample_max_value", config.sample_max_value);
  reader.read("set_alpha_to_one", config.set_alpha_to_one);
  reader.read("skip_prk_steps", config.skip_prk_steps);
  reader.read_optional("variance_type", config.variance_type);
  reader.read("solver_order", config.solver_order, 1, 3);
  reader.read("algorithm_type", config.algorithm_type);
  reader.read("solver_type", config.solver_type);
  reader.read("lower_order_final", config.lower_order_final);
  reader.read("euler_at_final", config.euler_at_final);
  reader.read_from_minus_infinity("lambda_min_clipped", config.lambda_min_clipped);
  reader.read("predict_x0", config.predict_x0);
  reader.read("disable_corrector", config.disable_corrector);
  reader.read_presence("solver_p", config.has_solver_p);
  reader.read("noise_sampler_seed", config.noise_sampler_seed);
  reader.read("original_inference_steps", config.original_inference_steps, 1, max_train_timesteps);
  reader.read("timestep_scaling", config.timestep_scaling);
  for (const std::string_view key : keys_without_effect) reader.ignore(key);
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
