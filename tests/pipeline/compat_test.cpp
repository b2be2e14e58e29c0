// What --compat draws, against goldens that are computed from the tools' rules.
#include "pipeline/compat.hpp"

#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "diffusion/start.hpp"
#include "io/json.hpp"
#include "jobs/job.hpp"
#include "pipeline/settings_json.hpp"
#include "sdtorch/pipeline.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"
#include "support/picture_tensors.hpp"
#include "support/pictures.hpp"
#include "support/tolerance.hpp"

using namespace sdtorch;

namespace {

/// scripts/goldens/compat.py has the same.
const Model compat_network = [](const at::Tensor& x, const DenoiserCall& call) {
  return 0.7 * std::cos(call.timestep * 1e-3) * x + 0.3 * at::sin(2 * x);
};

/// The golden's case as a request: its keys are the flags' long names, but for `slice` and `slices`.
Request request_of(nlohmann::json golden_case) {
  if (golden_case.contains("slices")) {
    golden_case["noise-slice"] =
        fmt::format("{}/{}", golden_case["slice"].get<int>(), golden_case["slices"].get<int>());
    golden_case.erase("slice");
    golden_case.erase("slices");
  }
  return settings_from_json(golden_case, {}, {.file = "golden"});
}

Settings tiny_request(const std::string& compat, const std::string& sampler) {
  Settings settings;
  settings.model = golden_path("pipeline/models/sd1").string();
  settings.dtype = "fp32";
  settings.prompt = "a red house, on green hills!";
  settings.negative_prompt = "blurry";
  settings.seed = 7;
  settings.steps = 5;
  settings.width = settings.height = 64;
  settings.compat = compat;
  settings.sampler = sampler;
  return settings;
}

void check_picture(const Image& image, const at::Tensor& expected) {
  const at::Tensor difference = (picture_tensor(image).to(at::kInt) - expected.to(at::kInt)).abs();
  CHECK(difference.max().item<int>() <= 3);
  CHECK(difference.to(at::kFloat).mean().item<double>() <= 0.1);
}

}  // namespace

TEST_CASE("runs under --compat are those of the tools' published rules", "[pipeline]") {
  const auto golden = nlohmann::json::parse(std::ifstream(golden_path("compat/cases.json")));
  const auto tensors = load_golden("compat/trajectories");
  for (size_t number = 0; number < golden.at("cases").size(); ++number) {
    const nlohmann::json& one = golden.at("cases")[number];
    INFO("case " << number << ": " << one.dump());
    const Request request = request_of(one);
    const CompatRules rules = compat_rules(request);
    const SamplingPlan plan = plan_sampling(
        golden.at("config"), "scheduler_config.json",
        {.sampler = request.sampler, .scheduler = request.scheduler, .levels = rules.levels}, request.steps);
    const at::Tensor sigmas = at::tensor(plan.sigmas, at::kDouble);
    CHECK(relative_error(sigmas, tensors.at(fmt::format("{:03}.sigmas", number))) < 1e-5);

    Noise noise({picture_noise(request)}, rules.noise);
    SamplerContext context{.noise = noise};
    const at::Tensor start = noise.draw_start({4, 4, 6});
    const at::Tensor latent = run_sampler(start_from_noise(plan, start), compat_network, context);
    // A Brownian motion is asked at levels to six digits, the last of which fp32 has not at the largest of them.
    const bool moved = plan.sampler->name.ends_with("sde") && rules.noise.brownian;
    CHECK(relative_error(latent[0], tensors.at(fmt::format("{:03}", number))) <
          (moved ? 5e-3 : tolerance::tensor_relative));
  }
}

TEST_CASE("whole pictures under --compat are those of the tools' rules over diffusers' networks", "[pipeline]") {
  const auto pictures = load_golden("compat/pictures");
  for (const auto& [compat, sampler] : std::vector<std::pair<std::string, std::string>>{
           {"a1111", "euler_a"}, {"a1111", "dpm2_a"}, {"sdcpp", "euler_a"}}) {
    INFO(compat << " " << sampler);
    const Settings settings = tiny_request(compat, sampler);
    const Picture picture = Pipeline::open(settings).draw(settings);
    check_picture(picture.image, pictures.at(compat + "." + sampler)[0]);
  }
  Settings comfy = tiny_request("comfy", "euler_a");
  comfy.batch_count = 2;
  comfy.steps = 4;
  const Pipeline pipeline = Pipeline::open(comfy);
  const Job job = job_of(comfy);
  const std::vector<Request> batch{picture_of(job, 0), picture_of(job, 1)};
  const std::vector<Picture> drawn = pipeline.draw(batch);
  for (size_t k = 0; k < 2; ++k) {
    CHECK(drawn[k].request.seed == 7);
    check_picture(drawn[k].image, pictures.at("comfy.euler_a")[static_cast<int64_t>(k)]);
    CHECK(largest_difference(drawn[k].image, pipeline.draw(drawn[k].request).image) <=
          1);  // alone, as its metadata says
  }
  comfy = tiny_request("comfy", "euler");
  comfy.init_img = golden_path("compat/start.png").string();
  comfy.strength = 0.6;
  comfy.steps = 4;
  check_picture(pipeline.draw(comfy).image, pictures.at("comfy.start")[0]);
}

TEST_CASE("each flag of a compat sets its own rule", "[pipeline]") {
  Request request;
  request.compat = "comfy";
  CHECK(compat_rules(request).whole);
  CHECK(compat_rules(request).noise.ensd == 1);
  request.sampler_rng = "cuda";  // ComfyUI on a GPU
  CHECK(compat_rules(request).noise.source == RandomSource::cpu);
  CHECK(compat_rules(request).noise.sampler == RandomSource::cuda);
  CHECK(compat_rules(request).noise.ensd == 0);
  request.ensd = 5;
  request.batch_noise = "each";
  request.pixel_rounding = "nearest";
  request.discard_next_to_last = "yes";
  request.noise_scaling = "sigma";
  request.timesteps_rounding = "none";
  request.schedule_rules = "a1111";
  request.strength_steps = "share";
  request.encode_noise = "apart";
  request.sde_noise = "fresh";
  const CompatRules rules = compat_rules(request);
  CHECK(rules.noise.ensd == 5);
  CHECK_FALSE(rules.whole);
  CHECK_FALSE(rules.truncates_pixels);
  CHECK(rules.levels.discard_next_to_last == true);
  CHECK(rules.levels.sgm_start == false);
  CHECK(rules.levels.timesteps == TimestepRounding::none);
  CHECK(rules.levels.schedule == ScheduleRules::a1111);
  CHECK(rules.strength_steps == StrengthSteps::share);
  CHECK(rules.noise.encode == EncodeNoise::apart);
  CHECK_FALSE(rules.noise.brownian);
  Request own;
  own.rng = "cuda";
  CHECK(compat_rules(own).noise.sampler == RandomSource::cuda);
  CHECK_FALSE(compat_rules(own).truncates_pixels);
}

TEST_CASE("picture i of a batch has its seed, its variation or its slice", "[pipeline]") {
  const auto pictures = [](Request request) {
    std::vector<Request> all;
    for (int64_t i = 0; i < 3; ++i) move_to_picture(all.emplace_back(request), i, 3);
    return all;
  };
  CHECK(pictures({.seed = 5})[2].seed == 7);
  const auto varied = pictures({.seed = 5, .variation_seed = 8, .variation_strength = 0.5});
  CHECK(varied[2].seed == 5);
  CHECK(varied[2].variation_seed == 10);
  const auto unused = pictures({.seed = 5, .variation_seed = 8});
  CHECK(unused[2].seed == 7);
  CHECK(unused[2].variation_seed == 8);
  const auto sliced = pictures({.seed = 5, .compat = "comfy"});
  CHECK(sliced[2].seed == 5);
  CHECK(sliced[2].noise_slice == "2/3");
  Request one{.seed = 5, .compat = "comfy"};
  move_to_picture(one, 0, 1);
  CHECK(one.noise_slice.empty());
}

TEST_CASE("compat flags that are none are refused by name", "[pipeline]") {
  const auto refused = [](const char* flag, Request request) {
    check_error(ErrorKind::usage, flag, [&] { request.validate(); });
  };
  refused("--compat", {.compat = "a111"});
  refused("--rng", {.rng = "gpu"});
  refused("--sampler-rng", {.sampler_rng = "nv"});
  refused("--sde-noise", {.sde_noise = "x"});
  refused("--batch-noise", {.batch_noise = "all"});
  refused("--noise-slice", {.noise_slice = "3/3"});
  refused("--noise-slice", {.noise_slice = "1"});
  refused("--encode-noise", {.encode_noise = "x"});
  refused("--noise-scaling", {.noise_scaling = "x"});
  refused("--schedule-rules", {.schedule_rules = "x"});
  refused("--discard-next-to-last", {.discard_next_to_last = "true"});
  refused("--strength-steps", {.strength_steps = "x"});
  refused("--timesteps-rounding", {.timesteps_rounding = "down"});
  refused("--pixel-rounding", {.pixel_rounding = "up"});
  refused("--variation-strength", {.variation_strength = 1.5});
  refused("--seed-resize", {.seed_resize = PixelPair{.vertical = -1, .horizontal = 8}});
}

TEST_CASE("--discard-next-to-last needs levels to leave one out of", "[pipeline]") {
  const nlohmann::json config = {{"_class_name", "EulerDiscreteScheduler"}};
  const SamplerChoice discards{.sampler = "euler", .levels = {.discard_next_to_last = true}};
  check_error(ErrorKind::usage, "lays out levels", [&] { plan_sampling(config, "", discards, 5); });
  SamplerChoice listed = discards;
  listed.sigmas = {3, 2, 0};
  check_error(ErrorKind::usage, "gives the noise levels", [&] { plan_sampling(config, "", listed, 2); });
  SamplerChoice normal = discards;
  normal.scheduler = "normal";
  const SamplingPlan plan = plan_sampling(config, "", normal, 5);
  normal.levels = {};
  const SamplingPlan longer = plan_sampling(config, "", normal, 6);
  CHECK(plan.sigmas.size() == 6);
  CHECK(std::vector<double>(plan.sigmas.begin(), plan.sigmas.end() - 1) ==
        std::vector<double>(longer.sigmas.begin(), longer.sigmas.end() - 2));
}
