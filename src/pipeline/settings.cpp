#include "pipeline/settings.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "core/error.hpp"
#include "core/number.hpp"
#include "core/suggest.hpp"
#include "diffusion/sampler.hpp"

namespace sdtorch {
namespace {

constexpr double most_steps = 1'000'000;         // the model's own limit, checked with the model, is lower
constexpr double largest_condition = 1'000'000;  // of what a model is told of sizes: fp32 holds it exactly
constexpr double most_images = 1'000'000;
constexpr double largest_control_strength = 10;
constexpr double most_pixels = 1LL << 40;
constexpr double largest_batch = 4'096;
constexpr SettingRange any_number{.least = -1e6, .most = 1e6};
constexpr double largest_hires_scale = 16;
constexpr SettingRange unit{.least = 0, .most = 1};
constexpr SettingRange condition{.least = 0, .most = largest_condition};

std::vector<Setting> make_settings() {
  using S = Settings;
  using enum SettingGroup;
  constexpr auto one = SettingScope::picture, run = SettingScope::run;
  return {
      {"prompt", "-p, --prompt", "TEXT", "what to draw; \"\" is a prompt too", "", picture, one, &S::prompt, {}, true},
      {"negative-prompt",
       "-n, --negative-prompt",
       "TEXT",
       "what to keep out of it; for SDXL, \"\" is a prompt too, unlike none",
       "",
       picture,
       one,
       &S::negative_prompt,
       {},
       true},
      {"sampler", "--sampler, --sampling-method", "NAME",
       fmt::format("{}; other tools' spellings work; default: what the model names", fmt::join(sampler_names(), ", ")),
       "Sampler", sampling, one, &S::sampler},
      {"scheduler", "--scheduler, --schedule", "NAME",
       fmt::format("sigma schedule: {} (model)", fmt::join(scheduler_names(), ", ")), "Schedule type", sampling, one,
       &S::scheduler},
      {"sigmas", "--sigmas", "LIST",
       "noise levels given outright, as 14.6,7.2,2,0: one a step, and the last; in place of --steps", "Sigmas",
       sampling, one, &S::sigmas},
      {"steps", "--steps, --num-inference-steps, --ddim_steps", "N", "denoising steps (20)", "Steps", picture, one,
       &S::steps, SettingRange{1, most_steps}},
      {"cfg-scale", "--cfg-scale, --guidance-scale, --cfg, --scale", "S",
       "how strongly the prompt guides (7.5); 1 is the conditional model alone, 0 ignores the prompt", "CFG scale",
       picture, one, &S::cfg_scale, SettingRange{}},
      {"seed", "-s, --seed", "N", "0…2^64-1 (42); -1 draws one and reports it; image i of a batch uses N + i mod 2^64",
       "Seed", picture, one, &S::seed},
      {"width", "-W, --width", "PIXELS", "default: the model's own size", "", picture, one, &S::width,
       SettingRange{1, largest_side}},
      {"height", "-H, --height", "PIXELS", "likewise", "", picture, one, &S::height, SettingRange{1, largest_side}},
      {"original-size", "--original-size", "WxH",
       "what SDXL is told of the picture: its size before cropping (that of -W and -H)", "Original size", picture, one,
       &S::original_size, condition},
      {"crop", "--crop", "LEFTxTOP", "likewise: what was cropped away (0x0); TOP,LEFT works too", "Crop", picture, one,
       &S::crop, condition},
      {"target-size", "--target-size", "WxH", "likewise: its size afterwards (that of -W and -H); H,W works too",
       "Target size", picture, one, &S::target_size, condition},
      {"batch-count", "-b, --batch-count", "N", "images in all (1)", "", picture, one, &S::batch_count,
       SettingRange{1, most_images}},
      {"batch-size", "--batch-size", "N", "how many of them share a U-Net call (1)", "", picture, one, &S::batch_size,
       SettingRange{1, largest_batch}},
      {"hires-scale", "--hires-scale", "F",
       "1…16: draw the picture at -W and -H, then enlarge it so many times and draw it once more (A1111's hires fix)",
       "Hires upscale", picture, one, &S::hires_scale, SettingRange{1, largest_hires_scale}},
      {"hires-steps", "--hires-steps", "N", "steps of that second pass (0: as many as --steps)", "Hires steps", picture,
       one, &S::hires_steps, SettingRange{0, most_steps}},
      {"hires-strength", "--hires-strength", "F",
       fmt::format("0…1: how much of it is drawn anew ({})", usual_hires_strength), "", picture, one,
       &S::hires_strength, unit},
      {"hires-upscaler", "--hires-upscaler", "NAME", "what enlarges: latent, latent-bicubic, lanczos (latent)",
       "Hires upscaler", picture, one, &S::hires_upscaler},
      {"init-img", "-i, --init-img, --image, --init-image", "FILE",
       "picture to start from, PNG, JPEG or WebP; - reads one from standard input", "", input, one, &S::init_img},
      {"strength", "--strength, --denoise, --denoising-strength", "F",
       fmt::format("0…1: the share of the steps that change it ({}; 1 with a mask)", usual_strength),
       "Denoising strength", input, one, &S::strength, unit},
      {"mask", "--mask, --mask-image", "FILE", "what to repaint of it: a picture's white", "", input, one, &S::mask},
      {"mask-from-alpha", "--mask-from-alpha", "", "repaint what is transparent in it", "", input, one,
       &S::mask_from_alpha},
      {"mask-invert", "--mask-invert", "", "repaint the mask's black instead", "", input, one, &S::mask_invert},
      {"mask-blur", "--mask-blur", "PIXELS", "blur the mask, by a Gaussian of that deviation (0)", "Mask blur", input,
       one, &S::mask_blur, SettingRange{0, 1000}},
      {"inpaint-area", "--inpaint-area", "NAME",
       "whole; masked: cut out what is around the mask, draw it at -W and -H or the model's own size, paste it back "
       "(whole)",
       "", input, one, &S::inpaint_area},
      {"mask-padding", "--mask-padding", "PIXELS", "how much around the mask is cut out with it (32)",
       "Masked area padding", input, one, &S::mask_padding, SettingRange{0, largest_side}},
      {"keep-unmasked", "--keep-unmasked", "", "outside the mask keep the picture's own pixels, byte for byte", "",
       input, one, &S::keep_unmasked},
      {"expand", "--expand", "L,T,R,B",
       "grow it by so many pixels at the left, the top, the right and the bottom, and paint what is new; a few more "
       "where the VAE needs them",
       "Expand", input, one, &S::expand, SettingRange{0, largest_side}},
      {"image-cfg-scale", "--image-cfg-scale, --img-cfg-scale, --image-guidance-scale", "S",
       fmt::format("InstructPix2Pix: how strongly the picture guides ({})", usual_image_cfg_scale), "Image CFG scale",
       input, one, &S::image_cfg_scale, SettingRange{}},
      {"depth-img", "--depth-img, --depth-image", "FILE",
       "models for depth to image: its depth, in place of what an estimator makes of it; a grey picture of the same "
       "view in which bright is near; its darkest and its brightest place become the farthest and the nearest",
       "", input, one, &S::depth_img},
      {"resize", "--resize", "NAME",
       fmt::format("input pictures of another shape than -W and -H: {} (stretch)", fmt::join(resize_names, ", ")), "",
       input, one, &S::resize},
      {"max-pixels", "--max-pixels", "N", "input pictures of more are refused (178956970)", "", input, one,
       &S::max_pixels, SettingRange{1, most_pixels}},
      {"control-image",
       "--control-image",
       "FILE",
       "picture that steers, one for each --control-net, in their order; without -W and -H the first one's size is "
       "drawn, rounded down, unless --init-img gives one; - reads one from standard input",
       "",
       input,
       one,
       &S::control_image,
       {},
       false,
       true},
      {"control-strength", "--control-strength", "F",
       "0…10: how strongly (1); this flag and the next four are given once for all nets, or once for each", "", input,
       one, &S::control_strength, SettingRange{0, largest_control_strength}, false, true},
      {"control-start", "--control-start", "F", "0…1: the share of the steps before it steers (0)", "", input, one,
       &S::control_start, unit, false, true},
      {"control-end", "--control-end", "F", "0…1: the share of the steps after which it no longer does (1)", "", input,
       one, &S::control_end, unit, false, true},
      {"control-mode",
       "--control-mode",
       "NAME",
       fmt::format("{}: what weighs more where prompt and picture disagree (balanced); with control only the prompt's "
                   "own evaluation is steered",
                   fmt::join(control_mode_names, ", ")),
       "",
       input,
       one,
       &S::control_mode,
       {},
       false,
       true},
      {"control-preprocess",
       "--control-preprocess",
       "NAME",
       "what is made of its picture, before it is resized: canny[:LOW,HIGH] finds edges (100,200), depth estimates it "
       "by the model's own estimator or --depth-estimator, invert, none (none); "
       "inpaint hides what --mask says, as ControlNets for inpainting want it",
       "",
       input,
       one,
       &S::control_preprocess,
       {},
       false,
       true},
      {"spacing", "--spacing", "NAME",
       fmt::format("timesteps: {}; default: what the model or the sampler says", fmt::join(spacing_names, ", ")),
       "Timestep spacing", sampling, one, &S::spacing},
      {"eta", "--eta", "X", "0…1: how much noise ddim and tcd add back at each step (0)", "Eta", sampling, one, &S::eta,
       unit},
      {"guidance-rescale", "--guidance-rescale", "X", "0…1: how far to undo guidance's overexposure (0)",
       "Guidance rescale", sampling, one, &S::guidance_rescale, unit},
      {"pag-scale", "--pag-scale", "S", "perturbed-attention guidance: away from what blind self-attention draws (0)",
       "PAG scale", guidance, one, &S::pag_scale, any_number},
      {"pag-layers", "--pag-layers", "LIST",
       "its layers: parts of their names or regular expressions, as down_blocks.2,mid,up_blocks.[01] (mid)",
       "PAG layers", guidance, one, &S::pag_layers},
      {"sag-scale", "--sag-scale", "S",
       "self-attention guidance: away from the picture blurred where self-attention looks (0); one more call a step",
       "SAG scale", guidance, one, &S::sag_scale, any_number},
      {"freeu", "--freeu", "B1,B2,S1,S2",
       "FreeU: factors of the coarsest up blocks' features and of their skips' low frequencies, as 1.5,1.6,0.9,0.2",
       "FreeU", guidance, one, &S::freeu},
      {"cfg-interval", "--cfg-interval", "LO,HI",
       "where --cfg-scale applies: noise levels with LO < sigma <= HI, or shares of the steps, as 40%,80%; elsewhere "
       "the prompt alone is followed",
       "CFG interval", guidance, one, &S::cfg_interval},
      {"cfg-plus-plus", "--cfg-plus-plus, --cfg-pp", "",
       "CFG++: noise renewed without guidance; --cfg-scale is then its lambda, 0…1; ddim, euler, euler_a", "CFG++",
       guidance, one, &S::cfg_plus_plus},
      {"dynamic-threshold", "--dynamic-threshold", "MIMIC[,PERCENTILE]",
       "keep the range of values that guidance at the scale MIMIC has; PERCENTILE of them, 100 (or 1) is all (100)",
       "Dynamic threshold", guidance, one, &S::dynamic_threshold},
      {"classifier", "--classifier", "DIR", "a classifier over noisy latents whose gradient guides to --class", "",
       guidance, run, &S::classifier},
      {"classifier-scale", "--classifier-scale", "S", "how strongly (1)", "Classifier scale", guidance, one,
       &S::classifier_scale, any_number},
      {"class", "--class, --class-label", "NAME", "one of the classifier's classes, or its number", "Class", guidance,
       one, &S::class_label},
      {"model", "-m, --model, --ckpt", "PATH",
       "a diffusers folder, a single file, or ORG/NAME in the Hugging Face cache; default: the built-in model", "",
       model, run, &S::model},
      {"refiner", "--refiner", "PATH", "an SDXL model that draws the last steps", "", model, run, &S::refiner},
      {"refiner-start", "--refiner-start", "F",
       fmt::format("the share of the denoising, above 0 and below 1, after which it takes over ({})",
                   usual_refiner_start),
       "", model, one, &S::refiner_start, SettingRange{0, 1, true}},
      {"control-net",
       "--control-net",
       "PATH[=FILE]",
       "a ControlNet or a T2I-Adapter that steers the model: a diffusers folder or a single file, and the picture that "
       "it is given, if no --control-image names it; several add up",
       "",
       model,
       run,
       &S::control_net,
       {},
       false,
       true},
      {"depth-estimator", "--depth-estimator", "DIR",
       "what estimates depth, for a model without an estimator of its own: a folder with config.json, weights and "
       "preprocessor_config.json of a DPTForDepthEstimation, or a model's folder that has one",
       "", model, run, &S::depth_estimator},
      {"vae", "--vae", "PATH", "another VAE than the model's own: a folder or a file", "", model, run, &S::vae},
      {"prediction", "--prediction", "NAME", "what the network predicts: epsilon, v, x0; default: what the model says",
       "Prediction", model, run, &S::prediction},
      {"ignore-unknown", "--ignore-unknown", "", "unknown keys in a model's configs are warnings, not errors", "",
       model, run, &S::ignore_unknown},
      {"device", "--device", "NAME", "auto, cpu, cuda, cuda:N (auto)", "", machine, run, &S::device},
      {"dtype", "--dtype", "NAME", fmt::format("{} (auto)", fmt::join(dtype_names, ", ")), "", machine, run, &S::dtype},
      {"deterministic", "--deterministic", "", "same build, device and request: same bytes", "", machine, run,
       &S::deterministic},
  };
}

int64_t whole_number(const std::string& flag, const std::string& text) {
  const auto number = parse_int(text);
  if (!number) refuse(flag, fmt::format("'{}' is not a whole number", text));
  return *number;
}

double real_number(const std::string& flag, const std::string& text) {
  const auto number = parse_real(text);
  if (!number) refuse(flag, fmt::format("'{}' is not a finite number", text));
  return *number;
}

uint64_t seed_number(const std::string& flag, const std::string& text) {
  if (text == "-1") return draw_seed();
  const auto number = parse_unsigned(text);
  if (!number) refuse(flag, fmt::format("'{}' is not a whole number of 0…2^64-1, or -1 to draw one", text));
  return *number;
}

std::vector<double> number_list(const std::string& flag, const std::string& text) {
  std::vector<double> numbers;
  for (size_t start = 0; start <= text.size();) {
    const size_t comma = std::min(text.find(',', start), text.size());
    std::string part = text.substr(start, comma - start);
    while (part.starts_with(' ')) part.erase(0, 1);
    while (part.ends_with(' ')) part.pop_back();
    numbers.push_back(real_number(flag, part));
    start = comma + 1;
  }
  return numbers;
}

PixelPair pixel_pair(const std::string& flag, const std::string& text) {
  const auto pair = parse_pixel_pair(text);
  if (!pair) {
    const bool place = flag.ends_with("crop");
    refuse(flag, fmt::format("'{}' is not {}", text, place ? "LEFTxTOP" : "WIDTHxHEIGHT"),
           place ? "or TOP,LEFT" : "or HEIGHT,WIDTH");
  }
  return *pair;
}

PixelMargins pixel_margins(const std::string& flag, const std::string& text) {
  std::vector<int64_t> sides;
  for (size_t start = 0; start <= text.size();) {
    const size_t comma = std::min(text.find(',', start), text.size());
    const auto pixels = parse_int(text.substr(start, comma - start));
    if (pixels) sides.push_back(*pixels);
    start = pixels ? comma + 1 : text.size() + 1;
  }
  if (sides.size() != 4 || std::ranges::count(text, ',') != 3) {
    refuse(flag, fmt::format("'{}' is not LEFT,TOP,RIGHT,BOTTOM, in pixels", text));
  }
  return {.left = sides[0], .top = sides[1], .right = sides[2], .bottom = sides[3]};
}

/// Names of choices are ASCII and lower case; what is not among them is left as it is for validate() to name.
std::string choice(std::string_view field, const std::string& text) {
  if (field == "scheduler") {
    const SigmaSchedule* schedule = find_schedule(text);
    return schedule ? std::string(schedule->name) : ascii_lower(text);
  }
  constexpr std::array named_fields{"spacing",       "device",       "dtype",        "prediction",
                                    "resize",        "inpaint-area", "control-mode", "control-preprocess",
                                    "hires-upscaler"};
  const bool named = std::ranges::find(named_fields, field) != named_fields.end();
  return named ? ascii_lower(text) : text;
}

void set_sampler(Settings& request, const std::string& flag, const std::string& text) {
  const SamplerName name = parse_sampler_name(text);
  if (!name.sampler) refuse(flag, fmt::format("no sampler '{}'", text), nearest_or_similar(text));
  request.sampler = std::string(name.sampler->name);
  if (name.schedule) request.scheduler = std::string(name.schedule->name);
  if (name.spacing) request.spacing = std::string(to_string(*name.spacing));
}

/// A value as a flag's text; nothing for one that is not set.
struct ValueText {
  std::optional<std::string> operator()(const std::string& value) const { return value; }
  std::optional<std::string> operator()(int64_t value) const { return fmt::to_string(value); }
  std::optional<std::string> operator()(uint64_t value) const { return fmt::to_string(value); }
  std::optional<std::string> operator()(double value) const { return fmt::to_string(value); }
  std::optional<std::string> operator()(bool value) const { return value ? "true" : "false"; }
  std::optional<std::string> operator()(const PixelPair& value) const { return to_string(value); }
  std::optional<std::string> operator()(const PixelMargins& value) const { return to_string(value); }
  std::optional<std::string> operator()(const std::vector<double>& value) const {
    if (value.empty()) return std::nullopt;
    return fmt::format("{}", fmt::join(value, ", "));
  }
  std::optional<std::string> operator()(const std::vector<std::string>& value) const {
    if (value.empty()) return std::nullopt;
    return fmt::format("{}", fmt::join(value, ", "));
  }
  template <typename Value>
  std::optional<std::string> operator()(const std::optional<Value>& value) const {
    return value ? (*this)(*value) : std::nullopt;
  }
};

/// Holds numbers to their row's range.
struct RangeCheck {
  const Setting& setting;
  void check(double value, const std::string& shown) const {
    const auto [least, most, open] = *setting.range;
    const std::string flag = fmt::format("--{}", setting.name);
    if (open && !(value > least && value < most)) {
      refuse(flag, fmt::format("must be above {} and below {}, is {}", least, most, shown));
    }
    if (std::isinf(most) && !(std::isfinite(value) && value >= least)) {
      refuse(flag, fmt::format("must be {} or more, is {}", least, shown));
    }
    if (!(value >= least && value <= most)) {
      refuse(flag, fmt::format("must be {}…{}, is {}", least, most, shown));
    }
  }
  void operator()(int64_t value) const { check(static_cast<double>(value), fmt::to_string(value)); }
  void operator()(double value) const { check(value, fmt::to_string(value)); }
  void operator()(const PixelPair& pair) const { (*this)(pair.vertical), (*this)(pair.horizontal); }
  void operator()(const PixelMargins& by) const {
    for (const int64_t pixels : {by.left, by.top, by.right, by.bottom}) (*this)(pixels);
  }
  template <typename Value>
  void operator()(const std::optional<Value>& value) const {
    if (value) (*this)(*value);
  }
  void operator()(const std::string&) const {}
  void operator()(uint64_t) const {}
  void operator()(bool) const {}
  void operator()(const std::vector<double>& values) const {
    for (const double value : values) (*this)(value);
  }
  void operator()(const std::vector<std::string>&) const {}
};

/// Whoever names a file now takes it as it is.
void take_as_it_is(Request& to, const std::string& path) {
  std::erase_if(to.inputs, [&](const InputFile& file) { return file.path == path; });
}

}  // namespace

std::span<const Setting> settings() {
  static const std::vector<Setting> rows = make_settings();
  return rows;
}

const Setting* find_setting(std::string_view name) {
  const auto found = std::ranges::find(settings(), name, &Setting::name);
  return found == settings().end() ? nullptr : &*found;
}

const Setting* find_setting_by_label(std::string_view label) {
  const auto found = std::ranges::find(settings(), label, &Setting::label);
  return label.empty() || found == settings().end() ? nullptr : &*found;
}

std::optional<PixelPair> parse_pixel_pair(std::string_view text) {
  const size_t mark = text.find_first_of("xX,");
  if (mark == std::string_view::npos) return std::nullopt;
  const auto first = parse_int(std::string(text.substr(0, mark)));
  const auto second = parse_int(std::string(text.substr(mark + 1)));
  if (!first || !second) return std::nullopt;
  if (text[mark] == ',') return PixelPair{.vertical = *first, .horizontal = *second};
  return PixelPair{.vertical = *second, .horizontal = *first};
}

std::string to_string(const PixelPair& pair) { return fmt::format("{}x{}", pair.horizontal, pair.vertical); }

std::string to_string(const PixelMargins& by) {
  return fmt::format("{},{},{},{}", by.left, by.top, by.right, by.bottom);
}

void set_sigmas(Request& request, std::vector<double> sigmas) {
  request.sigmas = std::move(sigmas);
  if (request.sigmas.size() > 1) request.steps = std::ssize(request.sigmas) - 1;
}

const HiresUpscaler& hires_upscaler_of(const Request& request) {
  const auto found = std::ranges::find(hires_upscalers, request.hires_upscaler.value_or(""), &HiresUpscaler::name);
  return found == hires_upscalers.end() ? hires_upscalers.front() : *found;
}

std::vector<std::string> sampler_names() {
  std::vector<std::string> names;
  for (const Sampler& sampler : samplers()) names.emplace_back(sampler.name);
  return names;
}

std::string nearest_or_similar(const std::string& sampler) {
  const std::string_view nearest = nearest_sampler(sampler);
  return nearest.empty() ? did_you_mean(sampler, sampler_names()) : fmt::format("{} comes nearest", nearest);
}

uint64_t draw_seed() {
  std::random_device device;
  return std::uniform_int_distribution<uint64_t>()(device);
}

void set_from_text(Settings& to, const Setting& setting, const std::string& flag, const std::string& text) {
  if (setting.name == "sampler") return set_sampler(to, flag, text);
  if (setting.repeated) return set_from_texts(to, setting, flag, {text});
  if (setting.name == "init-img" || setting.name == "mask" || setting.name == "depth-img") take_as_it_is(to, text);
  struct Setter {
    Settings& to;
    std::string_view name;
    const std::string& flag;
    const std::string& text;
    void operator()(std::string Settings::*m) const { to.*m = choice(name, text); }
    void operator()(std::optional<std::string> Settings::*m) const { to.*m = choice(name, text); }
    void operator()(int64_t Settings::*m) const { to.*m = whole_number(flag, text); }
    void operator()(std::optional<int64_t> Settings::*m) const { to.*m = whole_number(flag, text); }
    void operator()(double Settings::*m) const { to.*m = real_number(flag, text); }
    void operator()(std::optional<double> Settings::*m) const { to.*m = real_number(flag, text); }
    void operator()(std::optional<PixelPair> Settings::*m) const { to.*m = pixel_pair(flag, text); }
    void operator()(std::optional<PixelMargins> Settings::*m) const { to.*m = pixel_margins(flag, text); }
    void operator()(uint64_t Settings::*m) const { to.*m = seed_number(flag, text); }
    void operator()(bool Settings::*m) const { to.*m = true; }
    void operator()(std::vector<double> Settings::*m) const {
      if (name == "sigmas") return set_sigmas(to, number_list(flag, text));
      to.*m = number_list(flag, text);
    }
    void operator()(std::vector<std::string> Settings::*) const {}
  };
  std::visit(Setter{to, setting.name, flag, text}, setting.member);
}

void set_from_texts(Settings& to, const Setting& setting, const std::string& flag,
                    const std::vector<std::string>& texts) {
  if (const auto* numbers = std::get_if<std::vector<double> Settings::*>(&setting.member)) {
    (to.**numbers).clear();
    for (const std::string& text : texts) (to.**numbers).push_back(real_number(flag, text));
    return;
  }
  auto& list = to.*std::get<std::vector<std::string> Settings::*>(setting.member);
  list.clear();
  for (const std::string& text : texts) {
    if (setting.name == "control-image") take_as_it_is(to, text);
    list.push_back(choice(setting.name, text));
  }
}

std::optional<std::string> text_of(const Settings& from, const Setting& setting) {
  return std::visit([&](auto member) { return ValueText{}(from.*member); }, setting.member);
}

void check_ranges(const Settings& all) {
  for (const Setting& setting : settings()) {
    if (!setting.range) continue;
    std::visit([&](auto member) { RangeCheck{setting}(all.*member); }, setting.member);
  }
}

}  // namespace sdtorch
