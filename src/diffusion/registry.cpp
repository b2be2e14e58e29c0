#include <algorithm>
#include <array>
#include <cctype>

#include "samplers/samplers.hpp"

namespace sdtorch {
namespace {

constexpr SchedulerDefaults leading{.timestep_spacing = Spacing::leading};

// Aliases are written as `squeezed` leaves them.
constexpr std::string_view ddim_aliases[]{"kddim", "ddimuniform"};
constexpr std::string_view euler_aliases[]{"keuler"};

constexpr auto registry = std::to_array<Sampler>({
    {.name = "ddim",
     .label = "DDIM",
     .aliases = ddim_aliases,
     .diffusers_class = "DDIMScheduler",
     .defaults = {.timestep_spacing = Spacing::leading, .clip_sample = true},
     .uses_eta = true,
     .plan = plan_ddim,
     .sample = sample_ddim},
    {.name = "euler",
     .label = "Euler",
     .aliases = euler_aliases,
     .diffusers_class = "EulerDiscreteScheduler",
     .defaults = {},
     .supports_karras = true,
     .reads_karras_key = true,
     .exploding = true,
     .plan = plan_euler,
     .sample = sample_euler},
});

/// Lower case, without spaces, underscores and hyphens.
std::string squeezed(std::string_view name) {
  std::string text;
  for (const char c : name) {
    if (c != ' ' && c != '_' && c != '-') text += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return text;
}

}  // namespace

std::span<const Sampler> samplers() { return registry; }

const Sampler* find_sampler(std::string_view name) {
  const std::string wanted = squeezed(name);
  for (const Sampler& sampler : registry) {
    if (wanted == squeezed(sampler.name) || wanted == squeezed(sampler.diffusers_class) ||
        std::ranges::find(sampler.aliases, wanted) != sampler.aliases.end()) {
      return &sampler;
    }
  }
  return nullptr;
}

SamplerName parse_sampler_name(std::string_view name) {
  constexpr std::string_view karras = "karras";
  if (const Sampler* sampler = find_sampler(name)) return {.sampler = sampler};
  const std::string text = squeezed(name);
  if (!text.ends_with(karras)) return {};
  return {.sampler = find_sampler(std::string_view(text).substr(0, text.size() - karras.size())), .karras = true};
}

}  // namespace sdtorch
