#include <algorithm>
#include <array>
#include <cctype>

#include "samplers/samplers.hpp"

namespace sdtorch {
namespace {

constexpr auto leading = Spacing::leading;

// Other spellings, as `squeezed` leaves them.
constexpr std::string_view ddpm_aliases[]{"kddpm"};
constexpr std::string_view ddim_aliases[]{"kddim"};
constexpr std::string_view pndm_aliases[]{"plms", "kpndm"};
constexpr std::string_view euler_aliases[]{"keuler"};
constexpr std::string_view euler_a_aliases[]{"eulerancestral", "keulera", "keulerancestral"};
constexpr std::string_view heun_aliases[]{"kheun"};
constexpr std::string_view lms_aliases[]{"klms"};
constexpr std::string_view dpmpp_2m_aliases[]{"dpmpp2m", "kdpmpp2m", "kdpm++2m", "dpmsolver++", "dpmsolvermultistep"};

constexpr auto registry = std::to_array<Sampler>({
    {.name = "ddpm",
     .label = "DDPM",
     .aliases = ddpm_aliases,
     .diffusers_class = "DDPMScheduler",
     .defaults = {.timestep_spacing = leading, .clip_sample = true},
     .plan = plan_ddpm,
     .sample = sample_ddpm},
    {.name = "ddim",
     .label = "DDIM",
     .aliases = ddim_aliases,
     .diffusers_class = "DDIMScheduler",
     .defaults = {.timestep_spacing = leading, .clip_sample = true},
     .uses_eta = true,
     .plan = plan_ddim,
     .sample = sample_ddim},
    {.name = "pndm",
     .label = "PLMS",
     .aliases = pndm_aliases,
     .diffusers_class = "PNDMScheduler",
     .defaults = {.timestep_spacing = leading, .set_alpha_to_one = false},
     .supports_x0 = false,
     .supports_zero_snr = false,
     .plan = plan_pndm,
     .sample = sample_pndm},
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
    {.name = "euler_a",
     .label = "Euler a",
     .aliases = euler_a_aliases,
     .diffusers_class = "EulerAncestralDiscreteScheduler",
     .defaults = {},
     .supports_karras = true,
     .supports_x0 = false,
     .exploding = true,
     .plan = plan_euler_a,
     .sample = sample_euler_a},
    {.name = "heun",
     .label = "Heun",
     .aliases = heun_aliases,
     .diffusers_class = "HeunDiscreteScheduler",
     .defaults = {.beta_start = 0.00085, .beta_end = 0.012},
     .supports_karras = true,
     .reads_karras_key = true,
     .supports_zero_snr = false,
     .cut_within_step = true,
     .exploding = true,
     .plan = plan_heun,
     .sample = sample_heun},
    {.name = "lms",
     .label = "LMS",
     .aliases = lms_aliases,
     .diffusers_class = "LMSDiscreteScheduler",
     .defaults = {},
     .supports_karras = true,
     .reads_karras_key = true,
     .supports_zero_snr = false,
     .exploding = true,
     .plan = plan_lms,
     .sample = sample_lms},
    {.name = "dpm++2m",
     .label = "DPM++ 2M",
     .aliases = dpmpp_2m_aliases,
     .diffusers_class = "DPMSolverMultistepScheduler",
     .defaults = {},
     .supports_karras = true,
     .reads_karras_key = true,
     .plan = plan_dpmpp_2m,
     .sample = sample_dpmpp_2m},
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
