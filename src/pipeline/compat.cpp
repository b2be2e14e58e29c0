#include "pipeline/compat.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "core/error.hpp"
#include "core/number.hpp"
#include "core/suggest.hpp"

namespace sdtorch {
namespace {

constexpr int64_t most_slices = 1'000'000;  // as --batch-count

/// A flag's choices by the names that it takes.
template <typename Value>
struct Choice {
  std::string_view name;
  Value value;
};

constexpr Choice<RandomSource> sources[]{{"cpu", RandomSource::cpu}, {"cuda", RandomSource::cuda}};
constexpr Choice<bool> sde_noises[]{{"fresh", false}, {"brownian", true}};
constexpr Choice<bool> batch_noises[]{{"each", false}, {"whole", true}};
constexpr Choice<EncodeNoise> encode_noises[]{
    {"first", EncodeNoise::first}, {"apart", EncodeNoise::apart}, {"none", EncodeNoise::none}};
constexpr Choice<bool> noise_scalings[]{{"sigma", false}, {"sgm", true}};
constexpr Choice<ScheduleRules> schedule_rules[]{{"a1111", ScheduleRules::a1111},
                                                 {"comfy", ScheduleRules::comfy},
                                                 {"diffusers", ScheduleRules::diffusers},
                                                 {"sdcpp", ScheduleRules::sdcpp}};
constexpr Choice<bool> answers[]{{"yes", true}, {"no", false}};
constexpr Choice<StrengthSteps> strength_steps[]{
    {"share", StrengthSteps::share}, {"extra", StrengthSteps::extra}, {"all", StrengthSteps::all}};
constexpr Choice<TimestepRounding> timestep_roundings[]{{"none", TimestepRounding::none},
                                                        {"nearest", TimestepRounding::nearest}};
constexpr Choice<bool> pixel_roundings[]{{"nearest", false}, {"truncate", true}};

template <typename Value, size_t count>
const Choice<Value>* find_choice(const Choice<Value> (&choices)[count], const std::optional<std::string>& name) {
  const auto* found = std::ranges::find(choices, name.value_or(""), &Choice<Value>::name);
  return found == std::end(choices) ? nullptr : found;
}

/// Puts what a flag says in the place of what the tool does.
template <typename Field, typename Value, size_t count>
void take_choice(Field& field, const Choice<Value> (&choices)[count], const std::optional<std::string>& name) {
  if (const auto* found = find_choice(choices, name)) field = found->value;
}

template <typename Value, size_t count>
void check_named(const char* flag, const Choice<Value> (&choices)[count], const std::optional<std::string>& name) {
  if (!name) return;
  std::vector<std::string> names;
  for (const Choice<Value>& choice : choices) names.emplace_back(choice.name);
  check_choice(flag, *name, names);
}

/// Each tool's own; docs/compat.md says where they are read.
CompatRules rules_of_tool(std::string_view tool) {
  constexpr auto cpu = RandomSource::cpu, cuda = RandomSource::cuda;
  if (tool == "a1111") {
    return {.noise = {.source = cuda, .sampler = cuda, .brownian = true, .encode = EncodeNoise::apart},
            .levels = {.schedule = ScheduleRules::a1111, .timesteps = TimestepRounding::none, .sgm_start = false},
            .strength_steps = StrengthSteps::extra,
            .empty_negative = EmptyNegative::zeros,
            .truncates_pixels = true};
  }
  if (tool == "comfy") {
    return {.noise = {.source = cpu, .sampler = cpu, .ensd = 1, .brownian = true, .encode = EncodeNoise::none},
            .whole = true,
            .levels = {.schedule = ScheduleRules::comfy, .timesteps = TimestepRounding::nearest, .sgm_start = true},
            .strength_steps = StrengthSteps::all,
            .empty_negative = EmptyNegative::encoded,
            .truncates_pixels = true};
  }
  if (tool == "sdcpp") {
    return {.noise = {.source = cuda, .sampler = cuda, .encode = EncodeNoise::apart},
            .levels = {.schedule = ScheduleRules::sdcpp, .timesteps = TimestepRounding::none, .sgm_start = false},
            .strength_steps = StrengthSteps::extra,
            .empty_negative = EmptyNegative::zeros,
            .truncates_pixels = true};
  }
  return {};
}

}  // namespace

CompatRules compat_rules(const Request& request) {
  const std::string_view tool = request.compat ? std::string_view(*request.compat) : "";
  CompatRules rules = rules_of_tool(tool);
  take_choice(rules.noise.source, sources, request.rng);
  // The samplers' noise is of the same source, unless it is said.
  take_choice(rules.noise.sampler, sources, request.rng);
  take_choice(rules.noise.sampler, sources, request.sampler_rng);
  // ComfyUI adds the 1 where its sampler runs on the CPU alone.
  if (tool == "comfy" && rules.noise.sampler == RandomSource::cuda) rules.noise.ensd = 0;
  if (request.ensd) rules.noise.ensd = *request.ensd;
  take_choice(rules.noise.brownian, sde_noises, request.sde_noise);
  take_choice(rules.noise.encode, encode_noises, request.encode_noise);
  take_choice(rules.whole, batch_noises, request.batch_noise);
  take_choice(rules.levels.schedule, schedule_rules, request.schedule_rules);
  take_choice(rules.levels.timesteps, timestep_roundings, request.timesteps_rounding);
  take_choice(rules.levels.discard_next_to_last, answers, request.discard_next_to_last);
  take_choice(rules.levels.sgm_start, noise_scalings, request.noise_scaling);
  take_choice(rules.strength_steps, strength_steps, request.strength_steps);
  take_choice(rules.truncates_pixels, pixel_roundings, request.pixel_rounding);
  return rules;
}

PictureNoise picture_noise(const Request& request) {
  PictureNoise picture{
      .seed = request.seed, .variation_seed = request.variation_seed, .variation_strength = request.variation_strength};
  if (const auto slice = parse_noise_slice(request.noise_slice)) {
    std::tie(picture.slice, picture.slices) = *slice;
  }
  return picture;
}

std::optional<std::pair<int64_t, int64_t>> parse_noise_slice(const std::string& text) {
  const size_t mark = text.find('/');
  if (mark == std::string::npos) return std::nullopt;
  const auto slice = parse_int(text.substr(0, mark)), slices = parse_int(text.substr(mark + 1));
  const bool fits = slice && slices && *slice >= 0 && *slice < *slices && *slices <= most_slices;
  return fits ? std::optional(std::pair(*slice, *slices)) : std::nullopt;
}

void draw_variation_seed(Request& request) {
  if (request.variation_strength != 0 && !request.variation_seed) request.variation_seed = draw_seed();
}

void move_to_picture(Request& request, int64_t index, int64_t count) {
  const auto distance = static_cast<uint64_t>(index);
  const bool varied = request.variation_strength != 0 && request.variation_seed;
  const bool sliced = compat_rules(request).whole && request.noise_slice.empty();
  if (varied) *request.variation_seed += distance;
  if (sliced && count > 1) {
    request.noise_slice = fmt::format("{}/{}", index, count);
  } else if (!varied) {
    request.seed += distance;
  }
}

void check_compat(const Request& request) {
  if (request.compat) check_choice("--compat", *request.compat, {compat_names.begin(), compat_names.end()});
  check_named("--rng", sources, request.rng);
  check_named("--sampler-rng", sources, request.sampler_rng);
  check_named("--sde-noise", sde_noises, request.sde_noise);
  check_named("--batch-noise", batch_noises, request.batch_noise);
  check_named("--encode-noise", encode_noises, request.encode_noise);
  check_named("--noise-scaling", noise_scalings, request.noise_scaling);
  check_named("--schedule-rules", schedule_rules, request.schedule_rules);
  check_named("--discard-next-to-last", answers, request.discard_next_to_last);
  check_named("--strength-steps", strength_steps, request.strength_steps);
  check_named("--timesteps-rounding", timestep_roundings, request.timesteps_rounding);
  check_named("--pixel-rounding", pixel_roundings, request.pixel_rounding);
  if (!request.noise_slice.empty() && !parse_noise_slice(request.noise_slice)) {
    refuse("--noise-slice", fmt::format("'{}' is not K/N with K from 0 to N - 1", request.noise_slice));
  }
}

void check_level_flags(const Request& request, const Sampler& sampler) {
  if (sampler.has_schedules) return;
  const auto refuse_given = [&](const char* flag, const std::optional<std::string>& given) {
    if (given) refuse(flag, fmt::format("{} has no use for it, since it works on timesteps", sampler.name));
  };
  refuse_given("--noise-scaling", request.noise_scaling);
  refuse_given("--timesteps-rounding", request.timesteps_rounding);
}

}  // namespace sdtorch
