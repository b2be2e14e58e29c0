// What a plan refuses, and under which names samplers are found.
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "diffusion/sampler.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"

using namespace sdtorch;
using nlohmann::json;

namespace {

json config_with(const json& more) {
  json config = {{"_class_name", "DDIMScheduler"}, {"beta_schedule", "scaled_linear"}};
  config.update(more);
  return config;
}

SamplingPlan plan(const json& config, const SamplerChoice& choice = {}, int64_t steps = 5) {
  return plan_sampling(config, "scheduler_config.json", choice, steps);
}

}  // namespace

TEST_CASE("a bad scheduler config is named by file and key", "[diffusion]") {
  struct Case {
    json keys;
    std::string message;
    std::optional<std::string> sampler{};
  };
  const std::vector<Case> cases{
      {{{"num_train_timesteps", 0}},
       "scheduler_config.json: num_train_timesteps: expected an integer from 2 to 100000"},
      {{{"num_train_timesteps", 1'000'000'000}}, "num_train_timesteps: expected an integer"},
      {{{"num_train_timesteps", 18446744073709551615U}}, "num_train_timesteps: expected an integer"},
      {{{"num_train_timesteps", 1000.0}}, "num_train_timesteps: expected an integer"},
      {{{"num_train_timesteps", "1000"}}, "num_train_timesteps: expected an integer"},
      {{{"num_train_timesteps", nullptr}}, "num_train_timesteps: expected an integer"},
      {{{"beta_end", 2}}, "beta_end: expected a number between 0 and 1, both excluded, found 2"},
      {{{"beta_start", 0}}, "beta_start: expected a number between 0 and 1"},
      {{{"beta_start", std::numeric_limits<double>::quiet_NaN()}}, "beta_start: expected a finite number"},
      {{{"beta_start", -std::numeric_limits<double>::infinity()}}, "beta_start: expected a finite number"},
      {{{"beta_start", json::array({1})}}, "beta_start: expected a number, found [1]"},
      {{{"beta_schedule", "sigmoid"}}, "beta_schedule: expected linear, scaled_linear or squaredcos_cap_v2"},
      {{{"beta_schedule", 3}}, "beta_schedule: expected a string"},
      {{{"trained_betas", {0.1, 0.2}}}, "trained_betas: expected num_train_timesteps (1000) values, found 2"},
      {{{"trained_betas", json::array()}}, "trained_betas: expected a list of numbers, found []"},
      {{{"trained_betas", {0.1, "x"}}}, "trained_betas: expected a number"},
      {{{"num_train_timesteps", 2}, {"trained_betas", {0.1, 1.5}}}, "trained_betas: expected a number between"},
      {{{"prediction_type", "flow_prediction"}}, "prediction_type: expected epsilon, v_prediction or sample"},
      {{{"prediction_type", nullptr}}, "prediction_type: expected"},
      {{{"timestep_spacing", "karras"}}, "timestep_spacing: expected leading, trailing or linspace"},
      {{{"steps_offset", "one"}}, "steps_offset: expected an integer"},
      {{{"clip_sample", 1}}, "clip_sample: expected true or false, found 1"},
      {{{"clip_sample_range", -1}}, "clip_sample_range: expected a positive number"},
      {{{"dynamic_thresholding_ratio", 1.5}}, "dynamic_thresholding_ratio: expected a number from 0 to 1"},
      {{{"sample_max_value", 0}}, "sample_max_value: expected a positive number"},
      {{{"sigma_min", -0.1}}, "sigma_min: expected a positive number", "euler"},
      {{{"guess", 1}}, "guess: unknown key, with the value 1"},
      {{{"variance_type", "learned"}}, "variance_type: expected fixed_small, fixed_small_log or fixed_large", "ddpm"},
      {{{"variance_type", "fixed_large_log"}}, "variance_type: expected fixed_small", "ddpm"},
      {{{"variance_type", "learned_range"}}, "variance_type: learned variances", "dpm++2m"},
      {{{"use_exponential_sigmas", true}, {"use_karras_sigmas", true}},
       "use_exponential_sigmas: only one schedule can be used, and use_karras_sigmas is",
       "euler"},
      {{{"use_beta_sigmas", true}, {"use_karras_sigmas", true}}, "use_beta_sigmas: only one schedule", "lms"},
      {{{"use_flow_sigmas", true}}, "use_flow_sigmas: flow matching", "unipc"},
      {{{"use_flow_sigmas", true}}, "use_flow_sigmas: flow matching", "deis"},
      {{{"solver_p", {{"_class_name", "DDIMScheduler"}}}}, "solver_p: another scheduler", "unipc"},
      {{{"solver_type", "bh3"}}, "solver_type: expected bh1 or bh2, found bh3", "unipc"},
      {{{"solver_type", "bh1"}}, "solver_type: bh1 cannot end at zero", "unipc"},
      {{{"predict_x0", false}}, "final_sigmas_type: without predict_x0 unipc cannot end at zero", "unipc"},
      {{{"lower_order_final", false}}, "lower_order_final: unipc needs it", "unipc"},
      {{{"disable_corrector", 3}}, "disable_corrector: expected a list of whole numbers", "unipc"},
      {{{"solver_type", "rk"}}, "solver_type: expected logrho", "deis"},
      {{{"algorithm_type", "sde-dpmsolver++"}}, "algorithm_type: expected deis", "deis"},
      {{{"algorithm_type", "sde-dpmsolver"}, {"final_sigmas_type", "sigma_min"}},
       "algorithm_type: the singlestep solver has no sde-dpmsolver",
       "dpm++2s"},
      {{{"algorithm_type", "dpmsolver"}, {"final_sigmas_type", "sigma_min"}, {"thresholding", true}},
       "thresholding: the singlestep solver",
       "dpm++2s"},
      {{{"original_inference_steps", 2000}}, "original_inference_steps: 2000 is more than num_train_timesteps", "lcm"},
      {{{"original_inference_steps", nullptr}}, "original_inference_steps: expected an integer", "tcd"},
      {{{"timestep_scaling", "ten"}}, "timestep_scaling: expected a number", "lcm"},
      {{{"noise_sampler_seed", -1}}, "noise_sampler_seed: expected a whole number, 0 or more", "dpm++sde"},
      {{{"num_train_timesteps", 5}, {"trained_betas", {0.1, 0.1, 0.2, 0.2, 0.2}}},
       "trained_betas: ipndm has none",
       "ipndm"},
      {{{"use_flow_sigmas", true}}, "use_flow_sigmas: flow matching", "dpm++2m"},
      {{{"interpolation_type", "log_linear"}}, "interpolation_type: expected linear", "euler"},
      {{{"timestep_type", "continuous"}, {"prediction_type", "v_prediction"}}, "timestep_type: expected", "euler"},
      {{{"final_sigmas_type", "middle"}}, "final_sigmas_type: expected zero or sigma_min", "euler"},
      {{{"solver_order", 4}}, "solver_order: expected an integer from 1 to 3", "dpm++2m"},
      {{{"algorithm_type", "sde-solver"}},
       "algorithm_type: expected dpmsolver++, dpmsolver, sde-dpmsolver++",
       "dpm++2m"},
      {{{"algorithm_type", "dpmsolver"}}, "final_sigmas_type: algorithm_type dpmsolver cannot end at zero", "dpm++2m"},
      {{{"solver_type", "euler"}}, "solver_type: expected midpoint or heun", "dpm++2m"},
      {{{"lambda_min_clipped", 100}}, "lambda_min_clipped: it clips all timesteps away", "dpm++2m"},
      {{{"lambda_min_clipped", std::numeric_limits<double>::infinity()}},
       "lambda_min_clipped: expected a finite number"},
      {{{"rescale_betas_zero_snr", true}, {"timestep_spacing", "trailing"}}, "rescale_betas_zero_snr: timestep 999"},
      {{{"_class_name", "SASolverScheduler"}}, "the scheduler \"SASolverScheduler\" is not supported"},
      {{{"_class_name", ""}}, "the scheduler \"\" is not supported"},
      {{{"_class_name", 7}}, "_class_name: no scheduler is named; choose one with {sampler}: ddpm, ddim"},
  };
  for (const Case& bad : cases) {
    INFO(bad.keys.dump());
    check_error(ErrorKind::model, bad.message, [&] { plan(config_with(bad.keys), {.sampler = bad.sampler}); });
  }
  for (const json& root : {json::array(), json("text"), json(), json(1)}) {
    check_error(ErrorKind::model, "expected a JSON object", [&] { plan(root); });
    check_error(ErrorKind::model, "expected a JSON object", [&] { plan(root, {.sampler = "euler"}); });
  }
}

TEST_CASE("keys that the sampler in force does not read are let be", "[diffusion]") {
  CHECK_NOTHROW(plan(config_with({{"use_flow_sigmas", true}, {"variance_type", "learned"}, {"solver_order", 3}})));
  CHECK_NOTHROW(plan(config_with({{"_note", 1}, {"trained_betas", nullptr}, {"variance_type", nullptr}})));
  CHECK_NOTHROW(
      plan(config_with({{"lambda_min_clipped", -std::numeric_limits<double>::infinity()}}), {.sampler = "dpm++2m"}));
  CHECK_NOTHROW(plan(config_with({{"_class_name", "UniPCMultistepScheduler"}, {"disable_corrector", json::array()}}),
                     {.sampler = "euler"}));
}

TEST_CASE("a choice that the sampler does not have is a usage error", "[diffusion]") {
  struct Case {
    SamplerChoice choice;
    std::string message;
    json keys = json::object();
    int64_t steps = 5;
  };
  const json zero_snr = {{"rescale_betas_zero_snr", true}, {"prediction_type", "v_prediction"}};
  const std::vector<Case> cases{
      {{.sampler = "dpm3"}, "sampler: unknown sampler dpm3; expected one of ddpm, ddim, pndm, euler"},
      {{.sampler = ""}, "sampler: unknown sampler"},
      {{.sampler = "karras"}, "sampler: unknown sampler karras"},
      {{.scheduler = "no such"}, "scheduler: unknown schedule no such; expected one of model, karras"},
      {{.scheduler = "trailing"}, "scheduler: trailing is a spacing; use {spacing} trailing"},
      {{.scheduler = "euler_a"}, "scheduler: euler_a is a sampler, not a sigma schedule; use {sampler} euler_a"},
      {{.sampler = "ddim", .scheduler = "karras"}, "scheduler: ddim has no karras schedule"},
      {{.sampler = "DDPM Karras"}, "scheduler: ddpm has no karras schedule"},
      {{.sampler = "plms", .scheduler = "karras"}, "scheduler: pndm has no karras schedule"},
      {{.scheduler = "karras"}, "scheduler: ddim has no karras schedule"},
      {{.spacing = "even"}, "spacing: expected leading, trailing or linspace, found even"},
      {{.prediction = "score"}, "prediction: expected epsilon, v or x0, found score"},
      {{.sampler = "euler", .eta = 0.5}, "eta: euler has no use for it"},
      {{.sampler = "euler_a", .eta = 0.0}, "eta: euler_a has no use for it"},
      {{.eta = 1.5}, "eta: expected a number from 0 to 1, found 1.5"},
      {{.eta = std::numeric_limits<double>::quiet_NaN()}, "eta: expected a number from 0 to 1"},
      {{.sampler = "pndm", .prediction = "x0"}, "sampler: pndm cannot sample a network that predicts x0"},
      {{.sampler = "euler_a"}, "sampler: euler_a cannot sample", {{"prediction_type", "sample"}}},
      {{.sampler = "pndm"}, "sampler: pndm cannot sample a model trained to zero terminal SNR", zero_snr},
      {{.sampler = "heun"}, "sampler: heun cannot sample a model trained to zero terminal SNR", zero_snr},
      {{.sampler = "lms"}, "sampler: lms cannot sample a model trained to zero terminal SNR", zero_snr},
      {{.sampler = "pndm"}, "steps: pndm begins with 3 Runge-Kutta steps and needs at least 4", {}, 3},
      {{.sampler = "lcm", .scheduler = "sgm_uniform"}, "scheduler: lcm has no sgm_uniform schedule"},
      {{.sampler = "tcd", .scheduler = "simple"}, "scheduler: tcd has no simple schedule"},
      {{.sampler = "ipndm", .scheduler = "beta"}, "scheduler: ipndm has no beta schedule"},
      {{.sampler = "lcm", .spacing = "trailing"}, "spacing: lcm has no use for it"},
      {{.sampler = "tcd", .spacing = "trailing"}, "spacing: tcd has no use for it"},
      {{.sampler = "ipndm", .spacing = "trailing"}, "spacing: ipndm has no use for it"},
      {{.sampler = "dpm++2s", .spacing = "trailing"}, "spacing: dpm++2s has no use for it"},
      {{.sampler = "lcm", .eta = 0.5}, "eta: lcm has no use for it; use {sampler} ddim or tcd"},
      {{.sampler = "dpm2", .prediction = "x0"}, "sampler: dpm2 cannot sample a network that predicts x0"},
      {{.sampler = "dpm++sde", .prediction = "x0"}, "sampler: dpm++sde cannot sample a network that predicts x0"},
      {{.sampler = "deis"}, "sampler: deis cannot sample a model trained to zero terminal SNR", zero_snr},
      {{.sampler = "dpm2_a"}, "sampler: dpm2_a cannot sample a model trained to zero terminal SNR", zero_snr},
      {{.sampler = "lcm"}, "steps: lcm takes at most 50 here (original_inference_steps), found 51", {}, 51},
      {{.sampler = "ddim", .sigmas = {5, 1, 0}}, "sigmas: ddim has no use for it", {}, 2},
      {{.sampler = "lcm", .sigmas = {5, 1, 0}}, "sigmas: lcm has no use for it", {}, 2},
      {{.sampler = "restart", .sigmas = {5, 1, 0}}, "sigmas: restart lays out its levels itself", {}, 2},
      {{.sampler = "deis", .sigmas = {5, 1, 0}}, "sigmas: deis cannot end at 0 here", {}, 2},
      {{.sampler = "euler", .sigmas = {5, 1, 0}}, "steps: 5, but {sigmas} gives the levels of 2"},
      {{.sampler = "euler", .scheduler = "karras", .sigmas = {5, 1, 0}}, "scheduler: {sigmas} gives", {}, 2},
      {{.sampler = "Euler Karras", .sigmas = {5, 1, 0}}, "scheduler: {sigmas} gives", {}, 2},
      {{.sampler = "Euler Karras", .scheduler = "simple"}, "scheduler: simple, but {sampler} says karras"},
      {{.sampler = "euler", .sigmas = {5, 1, 0}, .spacing = "leading"}, "spacing: {sigmas} gives", {}, 2},
      {{.sampler = "euler", .sigmas = {5}}, "sigmas: expected two levels or more", {}, 1},
      {{.sampler = "euler", .sigmas = {1, 5, 0}}, "sigmas: expected descending levels, found 5 after 1", {}, 2},
      {{.sampler = "euler", .sigmas = {1, 1, 0}}, "sigmas: expected descending levels, found 1 after 1", {}, 2},
      {{.sampler = "euler", .sigmas = {1, 0, 0}}, "sigmas: expected levels from", {}, 2},
      {{.sampler = "euler", .sigmas = {1, -1}}, "sigmas: expected levels from", {}, 1},
      {{.sampler = "euler", .sigmas = {1e30, 0}}, "sigmas: expected levels from", {}, 1},
      {{.sampler = "euler", .sigmas = {std::nan(""), 0}}, "sigmas: expected levels from", {}, 1},
      {{}, "steps: expected 1 to 1000 (the model's num_train_timesteps), found 0", {}, 0},
      {{}, "steps: expected 1 to 1000", {}, -5},
      {{}, "steps: expected 1 to 1000", {}, 1001},
      {{}, "steps: 1000 steps with leading spacing ask for timestep 1000, and the model has 1000", {}, 1000},
      {{.sampler = "dpm++2m", .spacing = "leading"}, "steps: 1000 steps with leading spacing need 1001", {}, 1000},
  };
  for (const Case& bad : cases) {
    INFO(bad.message);
    check_error(ErrorKind::usage, bad.message,
                [&] { plan(config_with(bad.keys.is_object() ? bad.keys : json::object()), bad.choice, bad.steps); });
  }
}

TEST_CASE("a model whose own scheduler cannot start from its zero SNR is a bad model", "[diffusion]") {
  const json config = {{"_class_name", "HeunDiscreteScheduler"}, {"rescale_betas_zero_snr", true}};
  check_error(ErrorKind::model, "scheduler_config.json: rescale_betas_zero_snr: heun cannot", [&] { plan(config); });
  CHECK_NOTHROW(plan(config, {.sampler = "euler"}));
}

TEST_CASE("unipc of the first order ends at 0", "[diffusion]") {
  const json config = {{"lower_order_final", false}, {"solver_order", 1}};
  CHECK(plan(config_with(config), {.sampler = "unipc"}, 5).sigmas.back() == 0);
}

TEST_CASE("samplers are found under the peers' names", "[diffusion]") {
  const std::vector<std::pair<std::string, std::string>> spellings{{"ddpm", "ddpm"},
                                                                   {"DDIM", "ddim"},
                                                                   {"pndm", "pndm"},
                                                                   {"PLMS", "pndm"},
                                                                   {"k_euler", "euler"},
                                                                   {"Euler", "euler"},
                                                                   {"Euler a", "euler_a"},
                                                                   {"euler_ancestral", "euler_a"},
                                                                   {"k_euler_a", "euler_a"},
                                                                   {"EULER-A", "euler_a"},
                                                                   {"k_euler_ancestral", "euler_a"},
                                                                   {"Heun", "heun"},
                                                                   {"k_heun", "heun"},
                                                                   {"LMS", "lms"},
                                                                   {"k_lms", "lms"},
                                                                   {"DPM++ 2M", "dpm++2m"},
                                                                   {"dpmpp_2m", "dpm++2m"},
                                                                   {"dpmpp2m", "dpm++2m"},
                                                                   {"k_dpmpp_2m", "dpm++2m"},
                                                                   {"dpm++2m", "dpm++2m"},
                                                                   {"DPM2", "dpm2"},
                                                                   {"dpm_2", "dpm2"},
                                                                   {"k_dpm_2", "dpm2"},
                                                                   {"DPM2 a", "dpm2_a"},
                                                                   {"dpm_2_ancestral", "dpm2_a"},
                                                                   {"k_dpm_2_a", "dpm2_a"},
                                                                   {"k_dpm_2_ancestral", "dpm2_a"},
                                                                   {"DPM++ 2M SDE", "dpm++2m_sde"},
                                                                   {"dpmpp_2m_sde", "dpm++2m_sde"},
                                                                   {"dpmpp_2m_sde_gpu", "dpm++2m_sde"},
                                                                   {"k_dpmpp_2m_sde", "dpm++2m_sde"},
                                                                   {"DPM++ SDE", "dpm++sde"},
                                                                   {"dpmpp_sde", "dpm++sde"},
                                                                   {"dpmpp_sde_gpu", "dpm++sde"},
                                                                   {"k_dpmpp_sde", "dpm++sde"},
                                                                   {"DPM++ 2S a", "dpm++2s_a"},
                                                                   {"dpm++2s_a", "dpm++2s_a"},
                                                                   {"dpmpp_2s_ancestral", "dpm++2s_a"},
                                                                   {"dpmpp2s_a", "dpm++2s_a"},
                                                                   {"k_dpmpp_2s_a", "dpm++2s_a"},
                                                                   {"k_dpmpp_2s_ancestral", "dpm++2s_a"},
                                                                   {"DPM++ 2S", "dpm++2s"},
                                                                   {"UniPC", "unipc"},
                                                                   {"uni_pc", "unipc"},
                                                                   {"uni_pc_bh2", "unipc"},
                                                                   {"DEIS", "deis"},
                                                                   {"LCM", "lcm"},
                                                                   {"TCD", "tcd"},
                                                                   {"iPNDM", "ipndm"},
                                                                   {"Restart", "restart"},
                                                                   {"UniPCMultistepScheduler", "unipc"},
                                                                   {"DPMSolverSDEScheduler", "dpm++sde"},
                                                                   {"KDPM2AncestralDiscreteScheduler", "dpm2_a"},
                                                                   {"DPM++ 3M SDE", "dpm++3m_sde"},
                                                                   {"dpmpp_3m_sde", "dpm++3m_sde"},
                                                                   {"dpmpp_3m_sde_gpu", "dpm++3m_sde"},
                                                                   {"heunpp2", "heunpp2"},
                                                                   {"ipndm_v", "ipndm_v"},
                                                                   {"EulerDiscreteScheduler", "euler"}};
  for (const auto& [spelling, name] : spellings) {
    INFO(spelling);
    REQUIRE(find_sampler(spelling));
    CHECK(find_sampler(spelling)->name == name);
    CHECK_FALSE(parse_sampler_name(spelling).schedule);
    const SamplerName with_schedule = parse_sampler_name(spelling + " Karras");
    REQUIRE(with_schedule.sampler);
    CHECK(with_schedule.sampler->name == name);
    REQUIRE(with_schedule.schedule);
    CHECK(with_schedule.schedule->name == "karras");
  }
  for (const std::string unknown : {"", "karras", " Karras", "eulerr", "dpm++ 3m", "Euler a Karras Karras"}) {
    CHECK_FALSE(parse_sampler_name(unknown).sampler);
  }
}

TEST_CASE("schedules are found under the peers' names", "[diffusion]") {
  const std::vector<std::pair<std::string, std::string>> spellings{{"Automatic", "model"},
                                                                   {"Karras", "karras"},
                                                                   {"EXPONENTIAL", "exponential"},
                                                                   {"Beta", "beta"},
                                                                   {"SGM Uniform", "sgm_uniform"},
                                                                   {"sgm_uniform", "sgm_uniform"},
                                                                   {"SGM-Uniform", "sgm_uniform"},
                                                                   {"Simple", "simple"},
                                                                   {"Align Your Steps", "align_your_steps"},
                                                                   {"align_your_steps", "align_your_steps"},
                                                                   {"AYS", "align_your_steps"},
                                                                   {"normal", "normal"},
                                                                   {"discrete", "normal"},
                                                                   {"Uniform", "normal"},
                                                                   {"KL Optimal", "kl_optimal"},
                                                                   {"kl_optimal", "kl_optimal"},
                                                                   {"DDIM Uniform", "ddim_uniform"},
                                                                   {"ddim_uniform", "ddim_uniform"}};
  for (const auto& [spelling, name] : spellings) {
    INFO(spelling);
    REQUIRE(find_schedule(spelling));
    CHECK(find_schedule(spelling)->name == name);
    const SamplerName sampler = parse_sampler_name("DPM++ 2M " + spelling);
    REQUIRE(sampler.sampler);
    CHECK(sampler.sampler->name == "dpm++2m");
    CHECK(sampler.schedule == find_schedule(spelling));
  }
  for (const std::string unknown : {"", "karra", "euler"}) CHECK_FALSE(find_schedule(unknown));
}

TEST_CASE("the model's algorithm_type tells DPM++ 2M from DPM++ 2M SDE", "[diffusion]") {
  const json config = config_with({{"_class_name", "DPMSolverMultistepScheduler"}});
  json sde = config;
  sde["algorithm_type"] = "sde-dpmsolver++";
  CHECK(plan(config).sampler->name == "dpm++2m");
  CHECK(plan(sde).sampler->name == "dpm++2m_sde");
  CHECK(plan(config, {.sampler = "dpm++2m_sde"}).sampler->name == "dpm++2m_sde");
  CHECK(plan(sde, {.sampler = "dpm++2m"}).sampler->name == "dpm++2m_sde");  // as diffusers' from_config keeps the key
}

TEST_CASE("no two samplers share a name, and each label is a name", "[diffusion]") {
  std::set<std::string_view> names;
  for (const Sampler& sampler : samplers()) {
    CHECK(names.insert(sampler.name).second);
    for (const std::string_view alias : sampler.aliases) {
      INFO(alias);
      CHECK(names.insert(alias).second);
      CHECK(find_sampler(alias) == &sampler);
    }
    CHECK(find_sampler(sampler.label) == &sampler);
  }
}

TEST_CASE("a schedule in the sampler's name is a schedule chosen", "[diffusion]") {
  const SamplingPlan named = plan(config_with(json::object()), {.sampler = "DPM++ 2M Karras"}, 20);
  const SamplingPlan flagged = plan(config_with(json::object()), {.sampler = "dpm++2m", .scheduler = "karras"}, 20);
  CHECK(named.sigmas == flagged.sigmas);
  CHECK(named.sigmas != plan(config_with(json::object()), {.sampler = "dpm++2m"}, 20).sigmas);
}

TEST_CASE("names of what is not here are refused with what comes nearest", "[diffusion]") {
  const std::vector<std::pair<std::string, std::string>> nearest_samplers{
      {"DPM fast", "dpm++2s"},       {"DPM adaptive", "dpm++2m"},         {"dpm++2mv2", "dpm++2m"},
      {"res_multistep", "dpm++2m"},  {"er_sde", "dpm++3m_sde"},           {"DPM fast Karras", "dpm++2s"},
      {"k_dpm_adaptive", "dpm++2m"}, {"DPM++ 2M SDE Heun", "dpm++2m_sde"}};
  for (const auto& [name, nearest] : nearest_samplers) {
    INFO(name);
    CHECK_FALSE(parse_sampler_name(name).sampler);
    check_error(ErrorKind::usage, "unknown sampler " + name + "; " + nearest + " comes nearest",
                [&, sampler = name] { plan(config_with(json::object()), {.sampler = sampler}); });
    CHECK(find_sampler(nearest)->name == nearest);
  }
  for (const std::string name : {"linear_quadratic", "Turbo", "gits", "Align Your Steps 32", "bong_tangent"}) {
    INFO(name);
    CHECK(find_schedule(nearest_schedule(name)));
    check_error(ErrorKind::usage, "comes nearest", [&] { plan(config_with(json::object()), {.scheduler = name}); });
  }
}

TEST_CASE("a model of another process is refused, whatever sampler is chosen", "[diffusion]") {
  for (const char* name : {"EDMEulerScheduler", "EDMDPMSolverMultistepScheduler", "FlowMatchEulerDiscreteScheduler",
                           "KarrasVeScheduler", "ScoreSdeVeScheduler", "CMStochasticIterativeScheduler"}) {
    INFO(name);
    const nlohmann::json config = {{"_class_name", name}, {"sigma_data", 0.5}, {"prediction_type", "v_prediction"}};
    for (const std::optional<std::string>& sampler :
         {std::optional<std::string>(), std::optional<std::string>("euler")}) {
      check_error(ErrorKind::model, "s.json: _class_name: " + std::string(name),
                  [&] { plan_sampling(config, "s.json", {.sampler = sampler}, 10); });
    }
  }
  CHECK(plan_sampling({{"_class_name", "DDIMParallelScheduler"}}, "s.json", {}, 10).sampler->name == "ddim");
  check_error(ErrorKind::model, "s.json: prediction_type: pndm cannot sample", [&] {
    plan_sampling({{"_class_name", "PNDMScheduler"}, {"prediction_type", "sample"}}, "s.json", {}, 10);
  });
}

TEST_CASE("names bring the spacing and the levels that other tools put behind them", "[diffusion]") {
  CHECK(parse_sampler_name("Euler a Trailing").spacing == Spacing::trailing);
  CHECK(parse_sampler_name("unipc_trailing").sampler->name == "unipc");
  CHECK(parse_sampler_name("dpmpp_2m_k").schedule->name == "karras");
  CHECK(parse_sampler_name("euler_k").sampler->name == "euler");
  CHECK(parse_sampler_name("ddim_k").sampler == nullptr);
  CHECK(find_schedule("Polyexponential")->name == "exponential");
  CHECK(nearest_sampler("DDIM CFG++ Karras") == "ddim");
  CHECK(nearest_sampler("SASolverScheduler") == "dpm++2m_sde");
  CHECK(nearest_sampler("uni_pc_bh1") == "unipc");
  CHECK(nearest_sampler("DPM++ 2M alt") == "dpm++2m");
}

TEST_CASE("ddim_trailing is DDIM with trailing spacing", "[diffusion]") {
  const SamplingPlan named = plan(config_with(json::object()), {.sampler = "ddim_trailing"});
  CHECK(named.timesteps == plan(config_with(json::object()), {.sampler = "ddim", .spacing = "trailing"}).timesteps);
  CHECK(named.timesteps != plan(config_with(json::object()), {.sampler = "ddim"}).timesteps);
}

TEST_CASE("a sampler that works on timesteps has nothing to take from the normal schedule", "[diffusion]") {
  const SamplingPlan named = plan(config_with(json::object()), {.sampler = "ddim", .scheduler = "normal"});
  CHECK(named.timesteps == plan(config_with(json::object()), {.sampler = "ddim"}).timesteps);
}

TEST_CASE("steps that would begin at one level are refused, with the number that works", "[diffusion]") {
  const json config = config_with(json::object());
  for (const std::string name : {"dpm++2m", "dpm++2m_sde", "unipc", "deis", "dpm++2s"}) {
    INFO(name);
    check_error(ErrorKind::usage, "steps: with 1000 two steps of " + name + " would begin",
                [&] { plan(config, {.sampler = name}, 1000); });
    check_error(ErrorKind::usage, "; take at most 999", [&] { plan(config, {.sampler = name}, 1000); });
    CHECK_NOTHROW(plan(config, {.sampler = name}, 999));
  }
  check_error(ErrorKind::usage, "one and the same noise level; take at most 1", [&] {
    plan(config_with({{"sigma_min", 1.0}, {"sigma_max", 1.0}}), {.sampler = "euler", .scheduler = "karras"});
  });
}
