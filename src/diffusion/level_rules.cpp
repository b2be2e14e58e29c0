#include "diffusion/level_rules.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "diffusion/sigma_schedule.hpp"

namespace sdtorch {
namespace {

/// A1111's choices behind "Automatic" that are not its `normal`.
constexpr std::pair<std::string_view, std::string_view> automatic_schedules[]{
    {"dpm++2m", "karras"}, {"dpm++sde", "karras"}, {"dpm++2m_sde", "exponential"}, {"dpm++3m_sde", "exponential"},
    {"dpm2", "karras"},    {"dpm2_a", "karras"},   {"dpm++2s_a", "karras"},        {"restart", "karras"},
};

constexpr std::string_view a1111_discards[]{"dpm2", "dpm2_a", "dpm++3m_sde"};
constexpr std::string_view comfy_discards[]{"dpm2", "dpm2_a", "unipc"};

}  // namespace

const Sampler& as_named_by(ScheduleRules rules, const Sampler& sampler) {
  return rules == ScheduleRules::comfy && sampler.name == "ddim" ? *find_sampler("euler") : sampler;
}

bool has_level_rules(const Sampler& sampler, ScheduleRules rules) {
  // A1111's UniPC works on timesteps.
  return sampler.has_schedules && !(rules == ScheduleRules::a1111 && sampler.name == "unipc");
}

const SigmaSchedule& usual_schedule(const Sampler& sampler, ScheduleRules rules) {
  std::string_view name = "normal";
  if (rules == ScheduleRules::a1111) {
    const auto* found =
        std::ranges::find(automatic_schedules, sampler.name, &std::pair<std::string_view, std::string_view>::first);
    if (found != std::end(automatic_schedules)) name = found->second;
  }
  return *find_schedule(name);
}

bool discards_next_to_last(const Sampler& sampler, ScheduleRules rules) {
  const auto in = [&](const auto& names) { return std::ranges::find(names, sampler.name) != std::end(names); };
  return (rules == ScheduleRules::a1111 && in(a1111_discards)) || (rules == ScheduleRules::comfy && in(comfy_discards));
}

void settle_by_rules(SchedulerConfig& config, const Sampler& sampler, ScheduleRules rules) {
  if (rules == ScheduleRules::diffusers) return;
  config.final_sigmas_type = "zero";
  if (rules != ScheduleRules::a1111 || sampler.name != "ddim") return;
  config.timestep_spacing = Spacing::leading;
  config.steps_offset = 1;
  config.set_alpha_to_one = false;
  config.clip_sample = false;
}

void scale_start(SamplingPlan& plan) {
  constexpr double alike = 1e-5;
  if (!plan.levels.sgm_start || !plan.sampler->has_schedules) return;
  const double sigma = plan.sigmas.front(), largest = training_sigmas(plan).back();
  const double unit = std::sqrt(sigma * sigma + 1);
  const bool whole = *plan.levels.sgm_start && sigma >= largest * (1 - alike);
  plan.init_noise_sigma = (whole ? unit : sigma) / (plan.sampler->exploding ? 1 : unit);
}

}  // namespace sdtorch
