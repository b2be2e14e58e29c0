#include <algorithm>
#include <array>

#include "diffusion/sampler.hpp"
#include "diffusion/spelling.hpp"

// All samplers, one line each, in the order in which --help lists them. NAME_sampler stands, with its paper, in
// samplers/NAME.cpp (that of dpmpp_2m_sde beside dpmpp_2m's, whose loop it shares).
#define SDTORCH_SAMPLERS(ENTRY) \
  ENTRY(ddpm)                   \
  ENTRY(ddim)                   \
  ENTRY(pndm)                   \
  ENTRY(euler)                  \
  ENTRY(euler_a)                \
  ENTRY(heun)                   \
  ENTRY(lms)                    \
  ENTRY(dpm2)                   \
  ENTRY(dpm2_a)                 \
  ENTRY(dpmpp_2m)               \
  ENTRY(dpmpp_2m_sde)           \
  ENTRY(dpmpp_2s)               \
  ENTRY(dpmpp_2s_a)             \
  ENTRY(dpmpp_sde)              \
  ENTRY(unipc)                  \
  ENTRY(deis)                   \
  ENTRY(ipndm)                  \
  ENTRY(restart)                \
  ENTRY(lcm)                    \
  ENTRY(tcd)

namespace sdtorch {

#define SDTORCH_DECLARE(name) extern const Sampler name##_sampler;
SDTORCH_SAMPLERS(SDTORCH_DECLARE)
#undef SDTORCH_DECLARE

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

SamplerName parse_sampler_name(std::string_view name) {
  if (const Sampler* sampler = find_sampler(name)) return {.sampler = sampler};
  const std::string text = squeezed(name);
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
