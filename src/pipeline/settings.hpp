// All that a user can say of a run, by name: one row a setting, for everything that writes or reads one (flags, prompt
// files, metadata).
#pragma once

#include <array>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "sdtorch/request.hpp"

namespace sdtorch {

/// What to load, what to draw, and how many of it.
struct Settings : ModelChoice, Request {
  int64_t batch_count = 1;  ///< pictures in all; picture i has seed + i (mod 2^64)
  int64_t batch_size = 1;   ///< pictures that share a U-Net call

  /// Throws as ModelChoice's and Request's, and for what concerns both.
  void validate() const;
  std::vector<std::string> warnings() const;

  bool operator==(const Settings&) const = default;
};

/// SDXL's own share of the denoising before its refiner (Podell et al. 2023: the refiner knows the last 200 of 1000
/// noise levels).
inline constexpr double usual_refiner_start = 0.8;

/// The share of the steps that change a picture that is started from, where nothing says it.
inline constexpr double usual_strength = 0.75;

/// How strongly a picture guides a model for instructions, where nothing says it.
inline constexpr double usual_image_cfg_scale = 1.5;

/// How much of the second, larger pass is drawn anew, where nothing says it: A1111's own.
inline constexpr double usual_hires_strength = 0.7;

/// Whether a picture or a picture's transparency says what is to be repainted.
inline bool names_mask(const Request& request) { return !request.mask.empty() || request.mask_from_alpha; }

/// Whether a part of the picture is to be repainted, and the rest kept.
inline bool has_mask(const Request& request) { return names_mask(request) || request.expand.has_value(); }

/// The flag that says what is to be repainted.
inline const char* mask_flag(const Request& request) {
  if (!names_mask(request)) return "--expand";
  return request.mask.empty() ? "--mask-from-alpha" : "--mask";
}

/// The share of the steps that change the picture that is started from.
inline double strength_of(const Request& request) {
  return request.strength.value_or(has_mask(request) ? 1 : usual_strength);
}

/// What enlarges for the second pass, and what A1111 calls it.
struct HiresUpscaler {
  std::string_view name, label;
};
inline constexpr std::array<HiresUpscaler, 3> hires_upscalers = {
    {{"latent", "Latent"}, {"latent-bicubic", "Latent (bicubic)"}, {"lanczos", "Lanczos"}}};

/// That of a request.
const HiresUpscaler& hires_upscaler_of(const Request& request);

/// The choices of the flags that name one; samplers and schedules have a registry of their own (sampler.hpp).
inline constexpr std::array<std::string_view, 3> spacing_names = {"leading", "trailing", "linspace"};
inline constexpr std::array<std::string_view, 3> resize_names = {"stretch", "crop", "pad"};
inline constexpr std::array<std::string_view, 2> inpaint_area_names = {"whole", "masked"};
inline constexpr std::array<std::string_view, 3> control_mode_names = {"balanced", "prompt", "control"};
inline constexpr std::array<std::string_view, 4> dtype_names = {"auto", "fp32", "fp16", "bf16"};
inline constexpr std::array<std::string_view, 2> quantize_names = {"int8", "fp8"};

/// Under which title --help lists a setting.
enum class SettingGroup { picture, input, guidance, sampling, elsewhere, shortcuts, model, machine };

/// Whether a line of a prompt file may say it, or it holds for the whole run.
enum class SettingScope { picture, run };

/// What a number must be.
struct SettingRange {
  double least = 0;
  double most = std::numeric_limits<double>::infinity();
  bool open = false;  ///< least and most themselves are out of it
};

/// One row.
struct Setting {
  std::string_view name;   ///< the long flag's, without its dashes; the key in JSON
  std::string_view flags;  ///< as --help shows them, with their aliases: "-s, --seed"
  std::string_view value;  ///< placeholder of its value; empty for a switch
  std::string help;        ///< a sentence or two, without a full stop
  std::string_view label;  ///< A1111's in `parameters`; empty where it has none, or none of its own
  SettingGroup group = SettingGroup::picture;
  SettingScope scope = SettingScope::picture;
  std::variant<std::string Settings::*, std::optional<std::string> Settings::*, int64_t Settings::*,
               std::optional<int64_t> Settings::*, double Settings::*, std::optional<double> Settings::*,
               std::optional<PixelPair> Settings::*, std::optional<PixelMargins> Settings::*, uint64_t Settings::*,
               std::optional<uint64_t> Settings::*, bool Settings::*, std::vector<double> Settings::*,
               std::vector<std::string> Settings::*>
      member;
  std::optional<SettingRange> range{};
  bool may_be_empty = false;  ///< the empty text is a value
  bool repeated = false;      ///< a list: its flag may be given several times, each time for one value
};

/// All rows, in the order in which they apply: a sampler's name that also says a schedule comes before `scheduler`,
/// and `sigmas`, which says the number of steps too, before `steps`.
std::span<const Setting> settings();

/// The value for control net `net` of a list that has one for each, one for all, or none.
template <typename Value>
Value value_for(const std::vector<Value>& list, size_t net, Value otherwise) {
  if (list.empty()) return otherwise;
  return list.size() == 1 ? list.front() : list.at(net);
}

/// By name, or by A1111's label; nullptr where there is none.
const Setting* find_setting(std::string_view name);
const Setting* find_setting_by_label(std::string_view label);

/// Sets one from a flag's text: numbers strictly, names of samplers and other choices in any case and, for samplers, in
/// the spellings of sd.cpp, A1111 and ComfyUI ("DPM++ 2M Karras" also sets the scheduler). Schedules likewise. A list
/// of numbers stands between commas. A seed of -1 draws one from the system. Throws ErrorKind::usage naming `flag`,
/// with the nearest choice.
void set_from_text(Settings& settings, const Setting& setting, const std::string& flag, const std::string& text);

/// The same of a list, each of whose values a flag's text gives.
void set_from_texts(Settings& settings, const Setting& setting, const std::string& flag,
                    const std::vector<std::string>& texts);

/// Its value as a flag's text; nothing where it leaves the choice to the model.
std::optional<std::string> text_of(const Settings& settings, const Setting& setting);

/// Throws ErrorKind::usage naming the flag of the first number that is out of its row's range.
void check_ranges(const Settings& settings);

/// What stands between commas, without the spaces around it: one part more than there are commas.
std::vector<std::string> comma_parts(const std::string& text);

/// `WIDTHxHEIGHT` (`LEFTxTOP`), or `HEIGHT,WIDTH` (`TOP,LEFT`) as diffusers' tuples have it; nothing where the text is
/// neither.
std::optional<PixelPair> parse_pixel_pair(std::string_view text);

/// `WIDTHxHEIGHT`.
std::string to_string(const PixelPair& pair);

/// `LEFT,TOP,RIGHT,BOTTOM`.
std::string to_string(const PixelMargins& margins);

/// The most pixels on a side of a picture.
inline constexpr int64_t largest_side = 16'384;  // three bytes each of the largest square still fit an int

/// Sets the noise levels, and the number of steps to theirs.
void set_sigmas(Request& request, std::vector<double> sigmas);

/// The names of all samplers.
std::vector<std::string> sampler_names();

/// What to take instead of a sampler that is not here: what comes nearest to another tool's, or the likest name.
std::string nearest_or_similar(const std::string& sampler);

/// A seed from the system's entropy.
uint64_t draw_seed();

}  // namespace sdtorch
