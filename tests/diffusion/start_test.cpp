// Where a run begins, what may be done at the end of a step, and that no plan ends in numbers that are none.
#include "diffusion/start.hpp"

#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"
#include "support/tolerance.hpp"

using namespace sdtorch;
using nlohmann::json;

namespace {

/// As scripts/goldens/diffusion.py has it.
const Model start_network = [](const at::Tensor& x, const DenoiserCall& call) {
  return 0.7 * std::cos(call.timestep * 1e-3) * x + 0.3 * at::sin(2 * x);
};

const json start_config = {{"_class_name", "PNDMScheduler"},
                           {"beta_schedule", "scaled_linear"},
                           {"beta_start", 0.00085},
                           {"beta_end", 0.012},
                           {"skip_prk_steps", true},
                           {"clip_sample", false},
                           {"steps_offset", 1}};

SamplingPlan start_plan(std::string_view sampler, int64_t steps, const std::string& schedule = "model") {
  return plan_sampling(start_config, "", {.sampler = std::string(sampler), .scheduler = schedule}, steps);
}

using AfterStep = std::function<at::Tensor(const SamplerStep&)>;

at::Tensor sampled(const SamplingPlan& plan, const AfterStep& after_step, at::IntArrayRef shape = {4, 3, 5}) {
  Noise noise({7});
  SamplerContext context{.noise = noise, .after_step = after_step};
  return run_sampler(start_from_noise(plan, noise.draw(shape)), start_network, context);
}

}  // namespace

TEST_CASE("a noised picture is sampled as diffusers' image-to-image does", "[diffusion]") {
  const json cases = json::parse(std::ifstream(golden_path("samplers/start_cases.json")));
  const std::map<std::string, at::Tensor> goldens = load_golden("samplers/starts");
  REQUIRE(cases.size() > 100);
  for (size_t number = 0; number < cases.size(); ++number) {
    const json& golden = cases[number];
    INFO("case " << number << ": " << golden.dump());
    const auto tensor = [&](const std::string& name) { return goldens.at(fmt::format("{:03}.{}", number, name)); };
    SamplerChoice choice{.sampler = golden.at("sampler").get<std::string>(),
                         .scheduler = golden.value("scheduler", "model")};
    if (golden.contains("eta")) choice.eta = golden["eta"].get<double>();
    const auto steps = golden.at("steps").get<int64_t>();
    const SamplingPlan whole = plan_sampling(golden.at("config"), "", choice, steps);
    const int64_t first = first_step_of(golden.at("strength").get<double>(), steps);
    const SamplingPlan plan = plan_from_step(whole, first);
    CHECK(relative_error(at::tensor(plan.timesteps), tensor("timesteps")) < 1e-6);
    CHECK(steps_of(plan) == steps - first);

    Noise noise({golden.at("seed").get<uint64_t>()});
    const at::Tensor x0 = noise.draw({4, 4, 4}), drawn = noise.draw({4, 4, 4});
    const Start start = start_from_picture(plan, x0, drawn);
    CHECK(relative_error(start.x, tensor("start")) < tolerance::tensor_relative);
    SamplerContext context{.noise = noise};
    CHECK(relative_error(run_sampler(start, start_network, context), tensor("latent")) < tolerance::tensor_relative);
  }
}

TEST_CASE("the share of steps that a strength leaves is rounded down", "[diffusion]") {
  CHECK(first_step_of(1, 20) == 0);
  CHECK(first_step_of(0.75, 20) == 5);
  CHECK(first_step_of(0.76, 10) == 3);
  CHECK(first_step_of(0.04, 20) == 20);
  CHECK(first_step_of(0, 20) == 20);
}

TEST_CASE("samplers that cannot begin in the middle are refused by name", "[diffusion]") {
  check_error(ErrorKind::usage, "sampler: restart cannot begin in the middle",
              [] { plan_from_step(start_plan("restart", 20), 5); });
  json config = start_config;
  config["skip_prk_steps"] = false;
  const SamplingPlan pndm = plan_sampling(config, "", {}, 20);
  check_error(ErrorKind::usage, "sampler: pndm with Runge-Kutta steps cannot begin", [&] { plan_from_step(pndm, 5); });
  for (const std::string name : {"pndm", "restart", "dpm2"}) {
    check_error(ErrorKind::usage, "refiner: " + name + " cannot be handed over",
                [&] { plan_until(start_plan(name, 20), 0.5); });
  }
}

TEST_CASE("any sampler goes on from what is put in a step's stead", "[diffusion]") {
  for (const Sampler& sampler : samplers()) {
    INFO(sampler.name);
    const SamplingPlan plan = start_plan(sampler.name, 7);
    const at::Tensor alone = sampled(plan, {});
    const at::Tensor same = sampled(plan, [](const SamplerStep& step) { return step.latent.clone(); });
    CHECK(relative_error(same, alone) < 1e-5);
    const at::Tensor moved =
        sampled(plan, [](const SamplerStep& step) { return step.index == 3 ? step.latent + 1 : at::Tensor(); });
    CHECK(relative_error(moved, alone) > 1e-4);
    const at::Tensor last = sampled(plan, [](const SamplerStep& step) {
      return step.index + 1 == step.count ? at::zeros_like(step.latent) : at::Tensor();
    });
    CHECK(at::equal(last, at::zeros_like(last)));
  }
}

TEST_CASE("a network that knows the picture draws it, whatever is blended in on the way", "[diffusion]") {
  // It predicts the noise over one known latent, and each step's end is moved off its way and noised to the step's own
  // level.
  Noise other({3});
  const at::Tensor x0 = other.draw({4, 2, 2}), noise = other.draw({4, 2, 2});
  json config = start_config;
  config["prediction_type"] = "epsilon";
  for (const Sampler& sampler : samplers()) {
    if (sampler.name == "ipndm") continue;  // has levels of its own, and reads the output as v
    INFO(sampler.name);
    const SamplingPlan plan = plan_sampling(config, "", {.sampler = std::string(sampler.name)}, 6);
    Noise drawn({7});
    SamplerContext context{.noise = drawn, .after_step = [&](const SamplerStep& step) {
                             const bool last = step.index + 1 == step.count;
                             return last ? at::Tensor() : noised_to(plan, x0, noise, step.next_sigma);
                           }};
    const Model known = [&](const at::Tensor& x, const DenoiserCall& call) {
      const double signal = 1 / std::sqrt(call.sigma * call.sigma + 1);
      return (x - signal * x0) / (call.sigma * signal);
    };
    const at::Tensor end = run_sampler(start_from_picture(plan, x0, noise), known, context);
    CHECK(relative_error(end, x0) < 0.1);  // some end at the model's smallest level
  }
}

TEST_CASE("calls count the steps of the whole run, whichever models share it", "[diffusion]") {
  for (const std::string name : {"euler", "heun", "dpm++2m"}) {
    INFO(name);
    const SamplingPlan first = plan_until(start_plan(name, 10), 0.6), rest = plan_from(start_plan(name, 10), 0.6);
    std::vector<int64_t> calls, ends;
    const int64_t all = steps_of(first) + steps_of(rest);
    const Model counted = [&](const at::Tensor& x, const DenoiserCall& call) {
      CHECK(call.steps == all);
      calls.push_back(call.step);
      return start_network(x, call);
    };
    Noise noise({1});
    SamplerContext context{.noise = noise,
                           .after_step = [&](const SamplerStep& step) -> at::Tensor {
                             CHECK(step.count == all);
                             CHECK(step.index == calls.back());
                             ends.push_back(step.index);
                             return {};
                           },
                           .steps = all};
    const at::Tensor middle = run_sampler(start_from_noise(first, noise.draw({4, 2, 2})), counted, context);
    context.first_step = steps_of(first);
    run_sampler(start_from_latent(rest, middle), counted, context);
    std::vector<int64_t> expected(static_cast<size_t>(all));
    for (size_t i = 0; i < expected.size(); ++i) expected[i] = static_cast<int64_t>(i);
    CHECK(ends == expected);
    CHECK(std::ranges::is_sorted(calls));
  }
}

TEST_CASE("the network is called once for each timestep of a plan", "[diffusion]") {
  for (const Sampler& sampler : samplers()) {
    INFO(sampler.name);
    const SamplingPlan plan = start_plan(sampler.name, 7);
    size_t calls = 0;
    const Model counted = [&](const at::Tensor& x, const DenoiserCall& call) {
      if (calls < plan.timesteps.size()) CHECK(call.timestep == Approx(plan.timesteps[calls]));
      ++calls;
      return start_network(x, call);
    };
    Noise noise({1});
    SamplerContext context{.noise = noise};
    run_sampler(start_from_noise(plan, noise.draw({4, 2, 2})), counted, context);
    CHECK(calls == plan.timesteps.size());
  }
}

TEST_CASE("whatever is not refused ends in numbers", "[diffusion]") {
  for (const Sampler& sampler : samplers()) {
    for (const SigmaSchedule& schedule : sigma_schedules()) {
      if (schedule.levels && !sampler.has_schedules) continue;
      for (const int64_t steps : {1, 2, 3, 8, 30, 61, 334, 999, 1000}) {
        const bool slow = sampler.name.ends_with("sde") && sampler.exploding;
        if (steps > 61 && (slow ? schedule.levels != nullptr : schedule.name != "model" && schedule.name != "beta"))
          continue;
        INFO(sampler.name << " " << schedule.name << " " << steps);
        SamplingPlan plan;
        try {
          plan = start_plan(sampler.name, steps, std::string(schedule.name));
        } catch (const Error& error) {
          CHECK(error.kind() == ErrorKind::usage);
          continue;
        }
        CHECK(sampled(plan, {}, {4, 1, 1}).isfinite().all().item<bool>());
      }
    }
  }
}
