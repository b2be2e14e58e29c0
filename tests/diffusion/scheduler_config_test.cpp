// Which keys of a scheduler's config are read, passed over with or without a word, and refused.
#include "diffusion/scheduler_config.hpp"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "diffusion/sampler.hpp"
#include "support/captured_stderr.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"

using namespace sdtorch;
using nlohmann::json;

namespace {

json published_schedulers() { return json::parse(std::ifstream(golden_path("configs/scheduler_configs.json"))); }

SchedulerConfig read_keys(const json& keys, const ReadOptions& options = {}) {
  return read_scheduler_config(keys, "s.json", {}, SchedulerOrigin::as_is, options);
}

/// The plan of this sampler for this model's scheduler, in 10 steps.
SamplingPlan plan_of(const json& config, const std::string& sampler, bool ignore_unknown = false) {
  return plan_sampling(config, "s.json", {.sampler = sampler, .ignore_unknown = ignore_unknown}, 10);
}

}  // namespace

TEST_CASE("a config of any class becomes every sampler that diffusers makes of it", "[diffusion]") {
  for (const json& entry : published_schedulers()) {
    for (const std::string sampler : entry.at("accepted")) {
      INFO(entry.at("name") << " as " << sampler);
      CHECK_NOTHROW(plan_of(entry.at("config"), sampler));
    }
  }
}

TEST_CASE("a scheduler's new key is absent as null, else refused by name or passed over", "[diffusion]") {
  for (const json& entry : published_schedulers()) {
    json config = entry.at("config");
    const std::string sampler = entry.at("accepted").back();
    INFO(entry.at("name") << " as " << sampler);
    const SamplingPlan before = plan_of(config, sampler);
    config["key_to_come"] = nullptr;
    CHECK(plan_of(config, sampler).sigmas == before.sigmas);
    for (const json& value : {json(1), json("x"), json(false), json::array(), json::object({{"a", 1}})}) {
      config["key_to_come"] = value;
      check_error(ErrorKind::model, "s.json: key_to_come: unknown key", [&] { plan_of(config, sampler); });
      check_error(ErrorKind::model, "; --ignore-unknown passes over it", [&] { plan_of(config, sampler); });
      CHECK(plan_of(config, sampler, true).sigmas == before.sigmas);
    }
  }
}

TEST_CASE("an unknown key that is passed over is named once", "[diffusion]") {
  const json keys = {{"once_a", 1}, {"once b", "x"}, {"once_c", nullptr}};
  const auto read = [&] { read_keys(keys, {.ignore_unknown = true}); };
  const std::string told = stderr_of(read);
  CHECK(told.find("warning: s.json: once_a: unknown key, with the value 1: passed over\n") != std::string::npos);
  CHECK(told.find("warning: s.json: \"once b\": unknown key, with the value \"x\": passed over\n") !=
        std::string::npos);
  CHECK(told.find("once_c") == std::string::npos);
  CHECK(stderr_of(read).empty());
}

TEST_CASE("a known key's unsupported value stays an error with unknown keys passed over", "[diffusion]") {
  const ReadOptions options{.ignore_unknown = true};
  check_error(ErrorKind::model, "beta_start: expected a number", [&] { read_keys({{"beta_start", "x"}}, options); });
  check_error(ErrorKind::model, "num_train_timesteps: expected an integer from 2 to 100000, found 1", [&] {
    read_keys({{"num_train_timesteps", 1}}, options);
  });
}

TEST_CASE("keys that no longer mean anything are a warning", "[diffusion]") {
  for (const json& keys : json::array(
           {{{"timestep_values", {1, 2}}}, {{"tensor_format", "pt"}}, {{"shift", 3.0}}, {{"predict_epsilon", true}}})) {
    const std::string key = keys.begin().key();
    INFO(key);
    const std::string told = stderr_of([&] { read_scheduler_config(keys, "old/" + key, {}, SchedulerOrigin::as_is); });
    CHECK(told.find(fmt::format("warning: old/{}: {}: ", key, key)) == 0);
    const json empty = {{key, nullptr}};
    CHECK(stderr_of([&] { read_scheduler_config(empty, "empty/" + key, {}, SchedulerOrigin::as_is); }).empty());
  }
}

TEST_CASE("predict_epsilon false is the prediction of x0, unless prediction_type says", "[diffusion]") {
  CHECK(read_keys({{"predict_epsilon", false}}).prediction_type == Prediction::x0);
  CHECK(read_keys({{"predict_epsilon", true}}).prediction_type == Prediction::epsilon);
  CHECK(read_keys({{"predict_epsilon", nullptr}}).prediction_type == Prediction::epsilon);
  CHECK(read_keys({{"predict_epsilon", false}, {"prediction_type", "v_prediction"}}).prediction_type == Prediction::v);
  check_error(ErrorKind::model, "predict_epsilon: expected true or false", [] { read_keys({{"predict_epsilon", 0}}); });
}

TEST_CASE("null is the default of what only some samplers read, and Python's false of a flag", "[diffusion]") {
  const SchedulerConfig usual;
  const SchedulerConfig config = read_keys({{"steps_offset", nullptr},
                                            {"sigma_min", nullptr},
                                            {"final_sigmas_type", nullptr},
                                            {"interpolation_type", nullptr},
                                            {"timestep_type", nullptr},
                                            {"clip_sample_range", nullptr},
                                            {"dynamic_thresholding_ratio", nullptr},
                                            {"sample_max_value", nullptr},
                                            {"solver_order", nullptr},
                                            {"algorithm_type", nullptr},
                                            {"solver_type", nullptr},
                                            {"lambda_min_clipped", nullptr},
                                            {"disable_corrector", nullptr},
                                            {"solver_p", nullptr},
                                            {"noise_sampler_seed", nullptr},
                                            {"timestep_scaling", nullptr},
                                            {"variance_type", nullptr},
                                            {"trained_betas", nullptr},
                                            {"rho", nullptr},
                                            {"lower_order_final", nullptr}});
  CHECK(config.steps_offset == usual.steps_offset);
  CHECK_FALSE(config.sigma_min);
  CHECK(config.final_sigmas_type == usual.final_sigmas_type);
  CHECK(config.clip_sample_range == usual.clip_sample_range);
  CHECK(config.solver_order == usual.solver_order);
  CHECK(config.algorithm_type == usual.algorithm_type);
  CHECK(config.lambda_min_clipped == usual.lambda_min_clipped);
  CHECK_FALSE(config.has_solver_p);
  CHECK_FALSE(config.lower_order_final);
  for (const char* key : {"num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "prediction_type",
                          "timestep_spacing", "original_inference_steps"}) {
    check_error(ErrorKind::model, fmt::format("s.json: {}: expected", key), [&] { read_keys({{key, nullptr}}); });
  }
}
