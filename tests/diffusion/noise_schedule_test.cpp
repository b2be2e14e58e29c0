#include "diffusion/noise_schedule.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "diffusion/start.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/tolerance.hpp"

using namespace sdtorch;
using nlohmann::json;

namespace {

const json sd1 = {
    {"_class_name", "PNDMScheduler"},  {"beta_start", 0.00085},  {"beta_end", 0.012}, {"clip_sample", false},
    {"set_alpha_to_one", false},       {"skip_prk_steps", true}, {"steps_offset", 1}, {"num_train_timesteps", 1000},
    {"beta_schedule", "scaled_linear"}};

SchedulerConfig config_of(const json& values) { return read_scheduler_config(values, "", {}, SchedulerOrigin::model); }

}  // namespace

TEST_CASE("alpha_bar is diffusers', and 0 at the end with zero terminal SNR", "[diffusion]") {
  const auto golden = load_golden("diffusion/forward");
  CHECK(relative_error(at::tensor(alpha_bars(config_of(sd1))), golden.at("alpha_bar")) < 1e-7);
  json zero_snr = sd1;
  zero_snr["rescale_betas_zero_snr"] = true;
  const std::vector<float> alpha_bar = alpha_bars(config_of(zero_snr));
  CHECK(relative_error(at::tensor(alpha_bar), golden.at("alpha_bar.zero_snr")) < 1e-7);
  CHECK(alpha_bar.back() == 0);
}

TEST_CASE("the forward process is diffusers' add_noise", "[diffusion]") {
  const auto golden = load_golden("diffusion/forward");
  const at::Tensor &x0 = golden.at("x0"), &noise = golden.at("noise");
  const std::vector<float> alpha_bar = alpha_bars(config_of(sd1));
  for (const size_t t : {0, 1, 500, 999}) {
    INFO("timestep " << t);
    const at::Tensor expected = golden.at(fmt::format("ddpm.{}", t));
    CHECK(relative_error(add_noise(x0, noise, alpha_bar[t]), expected) < 1e-6);
  }
  CHECK(at::equal(add_noise(x0, noise, 1), x0));
  CHECK(at::equal(add_noise(x0, noise, 0), noise));
}

TEST_CASE("a plan can be entered at any step", "[diffusion]") {
  const auto golden = load_golden("diffusion/forward");
  const at::Tensor &x0 = golden.at("x0"), &noise = golden.at("noise");
  for (const std::string sampler : {"ddim", "euler"}) {
    const SamplingPlan plan = plan_sampling(sd1, "", {.sampler = sampler}, 5);
    for (int64_t step = 0; step < 5; ++step) {
      INFO(sampler << " step " << step);
      const at::Tensor expected = golden.at(fmt::format("{}.step{}", sampler, step));
      CHECK(relative_error(noised_for_step(plan, x0, noise, step), expected) < tolerance::tensor_relative);
    }
  }
}
