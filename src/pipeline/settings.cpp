#include "pipeline/settings.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "core/number.hpp"
#include "core/suggest.hpp"
#include "diffusion/sampler.hpp"
#include "pipeline/batch_size.hpp"

namespace sdtorch {
namespace {

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

/// What is added to a seed mod 2^64; it may be less than 0.
uint64_t seed_distance(const std::string& flag, const std::string& text) {
  if (const auto number = parse_unsigned(text)) return *number;
  const auto number = parse_int(text);
  if (!number) refuse(flag, fmt::format("'{}' is not a whole number of -2^63…2^64-1", text));
  return static_cast<uint64_t>(*number);
}

std::vector<double> number_list(const std::string& flag, const std::string& text) {
  std::vector<double> numbers;
  for (const std::string& part : comma_parts(text)) numbers.push_back(real_number(flag, part));
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

/// A number of pictures, or `auto`; what stands for that inside is no number that can be asked for.
int64_t batch_size(const std::string& flag, const std::string& text) {
  if (ascii_lower(text) == automatic_name) return automatic_batch_size;
  const auto number = parse_int(text);
  if (!number) refuse(flag, fmt::format("'{}' is not a whole number, nor {}", text, automatic_name));
  if (*number == automatic_batch_size) {
    refuse(flag, fmt::format("must be 1…{}, or {}, is {}", largest_batch_size, automatic_name, text));
  }
  return *number;
}

/// Names of choices are ASCII and lower case; what is not among them is left as it is for validate() to name.
std::string choice(std::string_view field, const std::string& text) {
  if (field == "scheduler") {
    const SigmaSchedule* schedule = find_schedule(text);
    return schedule ? std::string(schedule->name) : ascii_lower(text);
  }
  constexpr std::array named_fields{"spacing",
                                    "device",
                                    "dtype",
                                    "prediction",
                                    "resize",
                                    "inpaint-area",
                                    "control-mode",
                                    "control-preprocess",
                                    "hires-upscaler",
                                    "quantize",
                                    "compat",
                                    "rng",
                                    "sampler-rng",
                                    "sde-noise",
                                    "batch-noise",
                                    "encode-noise",
                                    "noise-scaling",
                                    "schedule-rules",
                                    "discard-next-to-last",
                                    "strength-steps",
                                    "timesteps-rounding",
                                    "pixel-rounding"};
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

const Setting* find_setting(std::string_view name) {
  const auto found = std::ranges::find(settings(), name, &Setting::name);
  return found == settings().end() ? nullptr : &*found;
}

const Setting* find_setting_by_label(std::string_view label) {
  const auto found = std::ranges::find(settings(), label, &Setting::label);
  return label.empty() || found == settings().end() ? nullptr : &*found;
}

std::vector<std::string> comma_parts(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t start = 0; start <= text.size();) {
    const size_t comma = std::min(text.find(',', start), text.size());
    std::string part = text.substr(start, comma - start);
    while (part.starts_with(' ')) part.erase(0, 1);
    while (part.ends_with(' ')) part.pop_back();
    parts.push_back(std::move(part));
    start = comma + 1;
  }
  return parts;
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
    void operator()(int64_t Settings::*m) const {
      to.*m = m == &Settings::batch_size ? batch_size(flag, text) : whole_number(flag, text);
    }
    void operator()(std::optional<int64_t> Settings::*m) const { to.*m = whole_number(flag, text); }
    void operator()(double Settings::*m) const { to.*m = real_number(flag, text); }
    void operator()(std::optional<double> Settings::*m) const { to.*m = real_number(flag, text); }
    void operator()(std::optional<PixelPair> Settings::*m) const { to.*m = pixel_pair(flag, text); }
    void operator()(std::optional<PixelMargins> Settings::*m) const { to.*m = pixel_margins(flag, text); }
    void operator()(uint64_t Settings::*m) const { to.*m = seed_number(flag, text); }
    void operator()(std::optional<uint64_t> Settings::*m) const {
      to.*m = name == "ensd" ? seed_distance(flag, text) : seed_number(flag, text);
    }
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
    if (setting.name == "control-image" || setting.name == "ip-image") take_as_it_is(to, text);
    list.push_back(choice(setting.name, text));
  }
}

std::optional<std::string> text_of(const Settings& from, const Setting& setting) {
  if (is_batch_size(setting) && from.batch_size == automatic_batch_size) return automatic_name;
  return std::visit([&](auto member) { return ValueText{}(from.*member); }, setting.member);
}

void check_ranges(const Settings& all) {
  for (const Setting& setting : settings()) {
    if (!setting.range || (is_batch_size(setting) && all.batch_size == automatic_batch_size)) continue;
    std::visit([&](auto member) { RangeCheck{setting}(all.*member); }, setting.member);
  }
}

}  // namespace sdtorch
