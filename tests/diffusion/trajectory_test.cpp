// Every sampler against diffusers' scheduler of the same config, over a network that both can compute.
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "diffusion/start.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/tolerance.hpp"

using namespace sdtorch;
using nlohmann::json;

namespace {

/// scripts/goldens/diffusion.py has the same.
at::Tensor network(const at::Tensor& x, double timestep) {
  return 0.7 * std::cos(timestep * 1e-3) * x + 0.3 * at::sin(2 * x);
}

SamplerChoice choice_of(const json& golden) {
  SamplerChoice choice;
  if (golden.at("sampler").is_string()) choice.sampler = golden.at("sampler").get<std::string>();
  choice.scheduler = golden.value("scheduler", "model");
  if (golden.contains("spacing") && golden["spacing"].is_string()) choice.spacing = golden["spacing"];
  if (golden.contains("prediction")) choice.prediction = golden["prediction"];
  if (golden.contains("eta")) choice.eta = golden["eta"].get<double>();
  if (golden.contains("sigmas")) choice.sigmas = golden["sigmas"].get<std::vector<double>>();
  choice.sdxl = golden.value("sdxl", false);
  return choice;
}

const Model closed_form = [](const at::Tensor& x, const DenoiserCall& call) { return network(x, call.timestep); };

struct Trajectory {
  std::vector<double> timesteps;
  std::vector<at::Tensor> latents;
};

Trajectory run(const SamplingPlan& plan, uint64_t seed) {
  Noise noise({seed});
  Trajectory trajectory;
  const Model model = [&](const at::Tensor& x, const DenoiserCall& call) {
    CHECK(call.step == std::ssize(trajectory.latents));
    CHECK(call.steps == plan.steps);
    trajectory.timesteps.push_back(call.timestep);
    return network(x, call.timestep);
  };
  SamplerContext context{.noise = noise, .after_step = [&](const SamplerStep& step) -> at::Tensor {
                           CHECK(step.index == std::ssize(trajectory.latents));
                           CHECK(step.count == plan.steps);
                           CHECK(step.predicted.sizes() == step.latent.sizes());
                           trajectory.latents.push_back(step.latent);
                           return {};
                         }};
  const at::Tensor start = noise.draw({4, 4, 4});
  const at::Tensor end = run_sampler(start_from_noise(plan, start), model, context);
  CHECK(at::equal(end, trajectory.latents.back()));
  return trajectory;
}

/// Runs the cases of NAME.json and holds them against the trajectories of another file.
void check_cases(const std::string& list, const std::string& trajectories) {
  const json cases = json::parse(std::ifstream(golden_path(list)));
  const std::map<std::string, at::Tensor> goldens = load_golden(trajectories);
  REQUIRE(cases.size() > 100);
  for (size_t number = 0; number < cases.size(); ++number) {
    const json& golden = cases[number];
    INFO("case " << number << ": " << golden.dump());
    const auto tensor = [&](const std::string& name) { return goldens.at(fmt::format("{:03}.{}", number, name)); };
    const SamplingPlan plan = plan_sampling(golden.at("config"), "scheduler_config.json", choice_of(golden),
                                            golden.at("steps").get<int64_t>());
    const Trajectory trajectory = run(plan, golden.at("seed").get<uint64_t>());

    CHECK(trajectory.timesteps == plan.timesteps);
    CHECK(trajectory.latents.size() + 1 == plan.sigmas.size());
    if (goldens.contains(fmt::format("{:03}.timesteps", number))) {
      CHECK(relative_error(at::tensor(plan.timesteps), tensor("timesteps")) < 1e-6);
      CHECK(plan.init_noise_sigma == Approx(tensor("init_noise_sigma").item<double>()).epsilon(1e-6));
    }
    const at::Tensor expected = tensor("latents");
    CHECK(relative_error(trajectory.latents.back(), expected[-1]) < tolerance::tensor_relative);
    if (expected.size(0) != std::ssize(trajectory.latents)) continue;  // one of a long run, or a call of several a step
    CHECK(relative_error(at::stack(trajectory.latents), expected) < tolerance::tensor_relative);
  }
}

}  // namespace

TEST_CASE("trajectories are diffusers'", "[diffusion]") {
  check_cases("diffusion/cases.json", "diffusion/trajectories");
  check_cases("samplers/cases.json", "samplers/trajectories");
}

TEST_CASE("trajectories that diffusers does not have are those of the published formulas", "[diffusion]") {
  check_cases("samplers/formula_cases.json", "samplers/formula_trajectories");
}

TEST_CASE("image k of a batch is the image alone", "[diffusion]") {
  const json config = {{"_class_name", "EulerAncestralDiscreteScheduler"}, {"beta_schedule", "scaled_linear"}};
  for (const Sampler& sampler : samplers()) {
    INFO(sampler.name);
    const SamplerChoice choice{.sampler = std::string(sampler.name),
                               .eta = sampler.uses_eta ? std::optional(1.0) : std::nullopt};
    const SamplingPlan plan = plan_sampling(config, "scheduler_config.json", choice, 6);
    const auto draw = [&](const std::vector<uint64_t>& seeds) {
      Noise noise(seeds);
      SamplerContext context{.noise = noise};
      return run_sampler(start_from_noise(plan, noise.draw({4, 2, 6})), closed_form, context);
    };
    const at::Tensor batch = draw({7, 8, 9});
    for (int64_t k = 0; k < 3; ++k) {
      CHECK(at::equal(batch.slice(0, k, k + 1), draw({static_cast<uint64_t>(7 + k)})));
    }
  }
}

TEST_CASE("an observer can end a run", "[diffusion]") {
  const json config = {{"_class_name", "DDIMScheduler"}};
  for (const Sampler& sampler : samplers()) {
    const SamplingPlan plan = plan_sampling(config, "", {.sampler = std::string(sampler.name)}, 10);
    Noise noise({1});
    int steps = 0;
    SamplerContext context{.noise = noise, .after_step = [&](const SamplerStep&) -> at::Tensor {
                             if (++steps == 3) throw Error(ErrorKind::interrupted, {.reason = "stop"});
                             return {};
                           }};
    CHECK_THROWS_AS(run_sampler(start_from_noise(plan, noise.draw({4, 2, 2})), closed_form, context), Error);
    CHECK(steps == 3);
  }
}
