#include <algorithm>
#include <array>
#include <utility>

#include "diffusion/sampler.hpp"
#include "diffusion/spelling.hpp"

// All samplers, one line each, in the order in which they are listed. NAME_sampler stands, with its paper, in
// samplers/NAME.cpp (that of dpmpp_2m_sde beside dpmpp_2m's, whose loop it shares).
#define SDTORCH_SAMPLERS(ENTRY) \
  ENTRY(ddpm)                   \
  ENTRY(ddim)                   \
  ENTRY(pndm)                   \
  ENTRY(euler)                  \
  ENTRY(euler_a)                \
  ENTRY(heun)                   \
  ENTRY(heunpp2)                \
  ENTRY(lms)                    \
  ENTRY(dpm2)                   \
  ENTRY(dpm2_a)                 \
  ENTRY(dpmpp_2m)               \
  ENTRY(dpmpp_2m_sde)           \
  ENTRY(dpmpp_3m_sde)           \
  ENTRY(dpmpp_2s)               \
  ENTRY(dpmpp_2s_a)             \
  ENTRY(dpmpp_sde)              \
  ENTRY(unipc)                  \
  ENTRY(deis)                   \
  ENTRY(ipndm)                  \
  ENTRY(ipndm_v)                \
  ENTRY(restart)                \
  ENTRY(lcm)                    \
  ENTRY(tcd)

namespace sdtorch {

#define SDTORCH_DECLARE(name) extern const Sampler name##_sampler;
SDTORCH_SAMPLERS(SDTORCH_DECLARE)
#undef SDTORCH_DECLARE

namespace {

/// Samplers of other tools that are not here, and what comes nearest to each.
constexpr std::pair<std::string_view, std::string_view> neighbours_of_samplers[]{
    {"dpmfast", "dpm++2s"},
    {"dpmadaptive", "dpm++2m"},
    {"dpmpp2mv2", "dpm++2m"},
    {"dpm++2mv2", "dpm++2m"},
    {"resmultistep", "dpm++2m"},
    {"resmultistepcfgpp", "dpm++2m"},
    {"resmultistepancestral", "dpm++2m_sde"},
    {"resmultistepancestralcfgpp", "dpm++2m_sde"},
    {"res2s", "dpm++2s"},
    {"ersde", "dpm++3m_sde"},
    {"dpm++2msdeheun", "dpm++2m_sde"},
    {"dpmpp2msdeheun", "dpm++2m_sde"},
    {"dpmpp2msdeheungpu", "dpm++2m_sde"},
    {"dpmpp2mcfgpp", "dpm++2m"},
    {"dpmpp2sancestralcfgpp", "dpm++2s_a"},
    {"eulercfgpp", "euler"},
    {"eulerancestralcfgpp", "euler_a"},
    {"ddimcfgpp", "ddim"},
    {"gradientestimation", "euler"},
    {"gradientestimationcfgpp", "euler"},
    {"sasolver", "dpm++2m_sde"},
    {"sasolverpece", "dpm++2m_sde"},
    {"seeds2", "dpm++sde"},
    {"seeds3", "dpm++3m_sde"},
    {"expheun2x0", "dpm++2s"},
    {"expheun2x0sde", "dpm++sde"},
    {"res2m", "dpm++2m"},
    {"res3m", "dpm++3m_sde"},
    {"res3s", "dpm++2s"},
    {"edmeuler", "euler"},
    {"dpm++3m", "dpm++3m_sde"},
    {"dpmpp3m", "dpm++3m_sde"},
};

}  // namespace

std::span<const Sampler> samplers() {
#define SDTORCH_LIST(name) name##_sampler,
  static const auto all = std::to_array<Sampler>({SDTORCH_SAMPLERS(SDTORCH_LIST)});
#undef SDTORCH_LIST
  return all;
}

const Sampler* find_sampler(std::string_view name) {
  const std::string wanted = squeezed(name);
  for (const Sampler& sampler : samplers()) {
    if (!wanted.empty() && (wanted == squeezed(sampler.name) || wanted == squeezed(sampler.diffusers_class) ||
                            std::ranges::find(sampler.aliases, wanted) != sampler.aliases.end())) {
      return &sampler;
    }
  }
  return nullptr;
}

std::string_view nearest_sampler(std::string_view name) {
  std::string wanted = squeezed(name);
  for (const SigmaSchedule& schedule : sigma_schedules()) {
    if (const std::string tail = squeezed(schedule.name); wanted.ends_with(tail))
      wanted.resize(wanted.size() - tail.size());
  }
  for (const auto& [other, nearest] : neighbours_of_samplers) {
    if (wanted == other || wanted == "k" + std::string(other)) return nearest;
  }
  for (const std::string_view ending : {"cfg++", "cfgpp", "scheduler", "alt", "heun", "bh1", "bh2", "gpu"}) {
    if (!wanted.ends_with(ending)) continue;
    const std::string rest = wanted.substr(0, wanted.size() - ending.size());
    if (const Sampler* sampler = find_sampler(rest)) return sampler->name;
    if (const std::string_view nearest = nearest_sampler(rest); !nearest.empty()) return nearest;
  }
  return {};
}

SamplerName parse_sampler_name(std::string_view name) {
  if (const Sampler* sampler = find_sampler(name)) return {.sampler = sampler};
  const std::string text = squeezed(name);
  // Where stable-diffusion.cpp says how the timesteps are spaced ("ddim_trailing"), and InvokeAI Karras' levels ("_k").
  for (const Spacing spacing : {Spacing::trailing, Spacing::leading, Spacing::linspace}) {
    const std::string_view ending = to_string(spacing);
    if (!text.ends_with(ending)) continue;
    const Sampler* sampler = find_sampler(std::string_view(text).substr(0, text.size() - ending.size()));
    if (sampler && sampler->uses_spacing) return {.sampler = sampler, .spacing = spacing};
  }
  if (text.ends_with('k')) {
    const Sampler* sampler = find_sampler(std::string_view(text).substr(0, text.size() - 1));
    if (sampler && sampler->has_schedules) return {.sampler = sampler, .schedule = find_schedule("karras")};
  }
  const auto split = [&](const SigmaSchedule& schedule, std::string_view spelling) -> SamplerName {
    if (!text.ends_with(spelling)) return {};
    return {.sampler = find_sampler(std::string_view(text).substr(0, text.size() - spelling.size())),
            .schedule = &schedule};
  };
  for (const SigmaSchedule& schedule : sigma_schedules()) {
    if (const SamplerName found = split(schedule, squeezed(schedule.name)); found.sampler) return found;
    for (const std::string_view alias : schedule.aliases) {
      if (const SamplerName found = split(schedule, alias); found.sampler) return found;
    }
  }
  return {};
}

}  // namespace sdtorch
