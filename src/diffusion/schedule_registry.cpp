#include <algorithm>
#include <array>
#include <utility>

#include "diffusion/schedules/schedules.hpp"
#include "diffusion/spelling.hpp"

namespace sdtorch {
namespace {

constexpr auto schedule_registry = std::to_array<SigmaSchedule>({
    {.name = "model", .label = "Automatic", .aliases = {"automatic", "default"}, .levels = nullptr},
    {.name = "karras", .label = "Karras", .bounded = true, .levels = karras_levels},
    {.name = "exponential",
     .label = "Exponential",
     .aliases = {"polyexponential"},
     .bounded = true,
     .levels = exponential_levels},
    {.name = "beta", .label = "Beta", .bounded = true, .levels = beta_levels},
    {.name = "sgm_uniform", .label = "SGM Uniform", .levels = sgm_uniform_levels},
    {.name = "simple", .label = "Simple", .levels = simple_levels},
    {.name = "align_your_steps", .label = "Align Your Steps", .aliases = {"ays"}, .levels = align_your_steps_levels},
    {.name = "normal", .label = "Normal", .aliases = {"discrete", "uniform"}, .levels = normal_levels},
    {.name = "kl_optimal", .label = "KL Optimal", .levels = kl_optimal_levels},
    {.name = "ddim_uniform", .label = "DDIM Uniform", .levels = ddim_uniform_levels},
});

/// Schedules of other tools that are not here, and what comes nearest to each.
constexpr std::pair<std::string_view, std::string_view> neighbours[]{
    {"linearquadratic", "sgm_uniform"},
    {"turbo", "sgm_uniform"},
    {"smoothstep", "beta"},
    {"gits", "align_your_steps"},
    {"ays32", "align_your_steps"},
    {"alignyoursteps32", "align_your_steps"},
    {"aysgits", "align_your_steps"},
    {"ays11", "align_your_steps"},
    {"laplace", "karras"},
    {"cosine", "beta"},
    {"bongtangent", "beta"},
    {"vp", "exponential"},
};

constexpr auto names = [] {
  std::array<std::string_view, schedule_registry.size()> all;
  for (size_t i = 0; i < all.size(); ++i) all[i] = schedule_registry[i].name;
  return all;
}();

}  // namespace

std::span<const SigmaSchedule> sigma_schedules() { return schedule_registry; }

const SigmaSchedule* find_schedule(std::string_view name) {
  const std::string wanted = squeezed(name);
  for (const SigmaSchedule& schedule : schedule_registry) {
    if (wanted == squeezed(schedule.name) || std::ranges::find(schedule.aliases, wanted) != schedule.aliases.end()) {
      return &schedule;
    }
  }
  return nullptr;
}

std::string_view nearest_schedule(std::string_view name) {
  const auto* found =
      std::ranges::find(neighbours, squeezed(name), &std::pair<std::string_view, std::string_view>::first);
  return found == std::end(neighbours) ? std::string_view() : found->second;
}

std::span<const std::string_view> scheduler_names() { return names; }

}  // namespace sdtorch
