// What other tools draw from the same seed: their rules for noise, noise levels and rounding, by name, with the flags
// that set each of them alone on top. docs/compat.md has the table with its sources.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "diffusion/noise.hpp"
#include "diffusion/sampler.hpp"
#include "pipeline/settings.hpp"

namespace sdtorch {

inline constexpr std::array<std::string_view, 4> compat_names = {"a1111", "comfy", "diffusers", "sdcpp"};

/// Which steps a strength below 1 takes.
enum class StrengthSteps {
  share,  ///< that share of them, rounded down (diffusers)
  extra,  ///< one more, A1111's and stable-diffusion.cpp's
  all     ///< all of them, the last of as many as make them that share (ComfyUI)
};

/// What SDXL's U-Net gets for a negative prompt that is empty.
enum class EmptyNegative {
  as_given,  ///< for none zeros, if the model's config says so; for "" its encoding (diffusers)
  encoded,   ///< its encoding (ComfyUI)
  zeros      ///< zeros, if the model's config says so (A1111, stable-diffusion.cpp)
};

struct CompatRules {
  NoiseRules noise{};  ///< without other_size, which is in the model's units
  bool whole = false;  ///< a batch's noise is drawn at once, and picture k is slice k of it
  LevelRules levels{};
  StrengthSteps strength_steps = StrengthSteps::share;
  EmptyNegative empty_negative = EmptyNegative::as_given;
  bool truncates_pixels = false;  ///< 255·v is rounded down, else to the nearest
};

/// The tool's that the request names, or diffusers', with what its own flags say. The request: valid.
CompatRules compat_rules(const Request& request);

/// What picture of the batch the request's noise grows from. The request: valid, its variation's seed drawn.
PictureNoise picture_noise(const Request& request);

/// The picture's number and that of the pictures that `--noise-slice K/N` names; nothing for other text.
std::optional<std::pair<int64_t, int64_t>> parse_noise_slice(const std::string& text);

/// Gives the request a seed for a variation that it asks for and has none for.
void draw_variation_seed(Request& request);

/// The request of a batch's picture `index` of `count`: by default that of the seed + index; with a variation that of
/// its seed + index; of noise drawn at once another slice.
void move_to_picture(Request& request, int64_t index, int64_t count);

/// Throws ErrorKind::usage naming the flag whose value is not one of its choices.
void check_compat(const Request& request);

/// Throws ErrorKind::usage naming a flag of the request's that the sampler has no use for.
void check_level_flags(const Request& request, const Sampler& sampler);

}  // namespace sdtorch
