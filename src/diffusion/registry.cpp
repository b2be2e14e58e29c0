#include <algorithm>
#include <array>

#include "diffusion/samplers/samplers.hpp"
#include "diffusion/spelling.hpp"

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
constexpr std::string_view dpm2_aliases[]{"kdpm2"};
constexpr std::string_view dpm2_a_aliases[]{"dpm2ancestral", "kdpm2a", "kdpm2ancestral"};
constexpr std::string_view dpmpp_2m_aliases[]{"dpmpp2m", "kdpmpp2m", "kdpm++2m", "dpmsolver++", "dpmsolvermultistep"};
constexpr std::string_view dpmpp_2m_sde_aliases[]{"dpmpp2msde", "kdpmpp2msde", "kdpm++2msde", "dpmpp2msdegpu"};
constexpr std::string_view dpmpp_2s_aliases[]{"dpmpp2s", "kdpmpp2s", "dpmsolversinglestep"};
constexpr std::string_view dpmpp_2s_a_aliases[]{"dpmpp2sa",          "dpmpp2sancestral", "kdpmpp2sa",
                                                "kdpmpp2sancestral", "dpm++2sancestral", "kdpm++2sa"};
constexpr std::string_view dpmpp_sde_aliases[]{"dpmppsde", "kdpmppsde", "kdpm++sde", "dpmppsdegpu", "dpmsolversde"};
constexpr std::string_view unipc_aliases[]{"unipcbh2", "kunipc", "unipcmultistep"};
constexpr std::string_view deis_aliases[]{"kdeis", "deismultistep"};
constexpr std::string_view ipndm_aliases[]{"kipndm"};
constexpr std::string_view restart_aliases[]{"krestart"};
constexpr std::string_view lcm_aliases[]{"klcm"};
constexpr std::string_view tcd_aliases[]{"ktcd"};

constexpr auto sampler_registry = std::to_array<Sampler>({
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
     .has_schedules = true,
     .reads_schedule_keys = true,
     .exploding = true,
     .plan = plan_euler,
     .sample = sample_euler},
    {.name = "euler_a",
     .label = "Euler a",
     .aliases = euler_a_aliases,
     .diffusers_class = "EulerAncestralDiscreteScheduler",
     .defaults = {},
     .has_schedules = true,
     .supports_x0 = false,
     .exploding = true,
     .plan = plan_euler_a,
     .sample = sample_euler_a},
    {.name = "heun",
     .label = "Heun",
     .aliases = heun_aliases,
     .diffusers_class = "HeunDiscreteScheduler",
     .defaults = {.beta_start = 0.00085, .beta_end = 0.012},
     .has_schedules = true,
     .reads_schedule_keys = true,
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
     .has_schedules = true,
     .reads_schedule_keys = true,
     .supports_zero_snr = false,
     .exploding = true,
     .plan = plan_lms,
     .sample = sample_lms},
    {.name = "dpm2",
     .label = "DPM2",
     .aliases = dpm2_aliases,
     .diffusers_class = "KDPM2DiscreteScheduler",
     .defaults = {.beta_start = 0.00085, .beta_end = 0.012},
     .has_schedules = true,
     .reads_schedule_keys = true,
     .supports_x0 = false,
     .supports_zero_snr = false,
     .exploding = true,
     .plan = plan_dpm2,
     .sample = sample_dpm2},
    {.name = "dpm2_a",
     .label = "DPM2 a",
     .aliases = dpm2_a_aliases,
     .diffusers_class = "KDPM2AncestralDiscreteScheduler",
     .defaults = {.beta_start = 0.00085, .beta_end = 0.012},
     .has_schedules = true,
     .reads_schedule_keys = true,
     .supports_x0 = false,
     .supports_zero_snr = false,
     .exploding = true,
     .plan = plan_dpm2_a,
     .sample = sample_dpm2_a},
    {.name = "dpm++2m",
     .label = "DPM++ 2M",
     .aliases = dpmpp_2m_aliases,
     .diffusers_class = "DPMSolverMultistepScheduler",
     .defaults = {},
     .has_schedules = true,
     .reads_schedule_keys = true,
     .plan = plan_dpmpp_2m,
     .sample = sample_dpmpp_2m},
    {.name = "dpm++2m_sde",
     .label = "DPM++ 2M SDE",
     .aliases = dpmpp_2m_sde_aliases,
     .diffusers_class = "DPMSolverMultistepScheduler",
     .defaults = {},
     .has_schedules = true,
     .reads_schedule_keys = true,
     .sde = true,
     .plan = plan_dpmpp_2m_sde,
     .sample = sample_dpmpp_2m_sde},
    {.name = "dpm++2s",
     .label = "DPM++ 2S",
     .aliases = dpmpp_2s_aliases,
     .diffusers_class = "DPMSolverSinglestepScheduler",
     .defaults = {.lower_order_final = false},
     .uses_spacing = false,
     .has_schedules = true,
     .reads_schedule_keys = true,
     .supports_zero_snr = false,
     .plan = plan_dpmpp_2s,
     .sample = sample_dpmpp_2s},
    {.name = "dpm++2s_a",
     .label = "DPM++ 2S a",
     .aliases = dpmpp_2s_a_aliases,
     .diffusers_class = "",
     .defaults = {},
     .has_schedules = true,
     .exploding = true,
     .plan = plan_dpmpp_2s_a,
     .sample = sample_dpmpp_2s_a},
    {.name = "dpm++sde",
     .label = "DPM++ SDE",
     .aliases = dpmpp_sde_aliases,
     .diffusers_class = "DPMSolverSDEScheduler",
     .defaults = {.beta_start = 0.00085, .beta_end = 0.012},
     .has_schedules = true,
     .reads_schedule_keys = true,
     .supports_x0 = false,
     .supports_zero_snr = false,
     .exploding = true,
     .plan = plan_dpmpp_sde,
     .sample = sample_dpmpp_sde},
    {.name = "unipc",
     .label = "UniPC",
     .aliases = unipc_aliases,
     .diffusers_class = "UniPCMultistepScheduler",
     .defaults = {},
     .has_schedules = true,
     .reads_schedule_keys = true,
     .plan = plan_unipc,
     .sample = sample_unipc},
    {.name = "deis",
     .label = "DEIS",
     .aliases = deis_aliases,
     .diffusers_class = "DEISMultistepScheduler",
     .defaults = {},
     .has_schedules = true,
     .reads_schedule_keys = true,
     .supports_zero_snr = false,
     .plan = plan_deis,
     .sample = sample_deis},
    {.name = "ipndm",
     .label = "IPNDM",
     .aliases = ipndm_aliases,
     .diffusers_class = "IPNDMScheduler",
     .defaults = {},
     .uses_spacing = false,
     .plan = plan_ipndm,
     .sample = sample_ipndm},
    {.name = "restart",
     .label = "Restart",
     .aliases = restart_aliases,
     .diffusers_class = "",
     .defaults = {},
     .has_schedules = true,
     .exploding = true,
     .plan = plan_restart,
     .sample = sample_restart},
    {.name = "lcm",
     .label = "LCM",
     .aliases = lcm_aliases,
     .diffusers_class = "LCMScheduler",
     .defaults = {.beta_start = 0.00085, .beta_end = 0.012, .beta_schedule = "scaled_linear"},
     .uses_spacing = false,
     .plan = plan_lcm,
     .sample = sample_lcm},
    {.name = "tcd",
     .label = "TCD",
     .aliases = tcd_aliases,
     .diffusers_class = "TCDScheduler",
     .defaults = {.beta_start = 0.00085, .beta_end = 0.012, .beta_schedule = "scaled_linear"},
     .uses_eta = true,
     .uses_spacing = false,
     .plan = plan_tcd,
     .sample = sample_tcd},
});

}  // namespace

std::span<const Sampler> samplers() { return sampler_registry; }

const Sampler* find_sampler(std::string_view name) {
  const std::string wanted = squeezed(name);
  for (const Sampler& sampler : sampler_registry) {
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
