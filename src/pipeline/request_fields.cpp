#include "pipeline/request_fields.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "core/error.hpp"
#include "core/number.hpp"
#include "core/suggest.hpp"
#include "diffusion/sampler.hpp"

namespace sdtorch {
namespace {

constexpr RequestField fields[] = {
    {"model", &Request::model},
    {"vae", &Request::vae},
    {"refiner", &Request::refiner},
    {"refiner-start", &Request::refiner_start},
    {"prediction", &Request::prediction},
    {"prompt", &Request::prompt},
    {"negative-prompt", &Request::negative_prompt},
    {"sigmas", &Request::sigmas},
    {"steps", &Request::steps},
    {"cfg-scale", &Request::cfg_scale},
    {"guidance-rescale", &Request::guidance_rescale},
    {"seed", &Request::seed},
    {"width", &Request::width},
    {"height", &Request::height},
    {"original-size", &Request::original_size},
    {"crop", &Request::crop},
    {"target-size", &Request::target_size},
    {"batch-count", &Request::batch_count},
    {"batch-size", &Request::batch_size},
    {"sampler", &Request::sampler},
    {"scheduler", &Request::scheduler},
    {"spacing", &Request::spacing},
    {"eta", &Request::eta},
    {"device", &Request::device},
    {"dtype", &Request::dtype},
    {"deterministic", &Request::deterministic},
};

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

/// Names of choices are ASCII and lower case; what is not among them is left as it is for validate() to name.
std::string choice(std::string_view field, const std::string& text) {
  if (field == "scheduler") {
    const SigmaSchedule* schedule = find_schedule(text);
    return schedule ? std::string(schedule->name) : ascii_lower(text);
  }
  const bool named = field == "spacing" || field == "device" || field == "dtype" || field == "prediction";
  return named ? ascii_lower(text) : text;
}

std::string nearest_or_similar(const std::string& sampler) {
  const std::string_view nearest = nearest_sampler(sampler);
  return nearest.empty() ? did_you_mean(sampler, sampler_names()) : fmt::format("{} comes nearest", nearest);
}

void set_sampler(Request& request, const std::string& flag, const std::string& text) {
  const SamplerName name = parse_sampler_name(text);
  if (!name.sampler) refuse(flag, fmt::format("no sampler '{}'", text), nearest_or_similar(text));
  request.sampler = std::string(name.sampler->name);
  if (name.schedule) request.scheduler = std::string(name.schedule->name);
  if (name.spacing) request.spacing = std::string(to_string(*name.spacing));
}

}  // namespace

std::span<const RequestField> request_fields() { return fields; }

const RequestField* find_request_field(std::string_view name) {
  const auto found = std::find_if(std::begin(fields), std::end(fields), [&](const auto& f) { return f.name == name; });
  return found == std::end(fields) ? nullptr : &*found;
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

void set_sigmas(Request& request, std::vector<double> sigmas) {
  request.sigmas = std::move(sigmas);
  if (request.sigmas.size() > 1) request.steps = std::ssize(request.sigmas) - 1;
}

std::vector<std::string> sampler_names() {
  std::vector<std::string> names;
  for (const Sampler& sampler : samplers()) names.emplace_back(sampler.name);
  return names;
}

uint64_t draw_seed() {
  std::random_device device;
  return std::uniform_int_distribution<uint64_t>()(device);
}

void set_from_text(Request& request, const RequestField& field, const std::string& flag, const std::string& text) {
  if (field.name == "sampler") return set_sampler(request, flag, text);
  struct Setter {
    Request& request;
    std::string_view name;
    const std::string& flag;
    const std::string& text;
    void operator()(std::string Request::*m) const { request.*m = choice(name, text); }
    void operator()(std::optional<std::string> Request::*m) const { request.*m = choice(name, text); }
    void operator()(int64_t Request::*m) const { request.*m = whole_number(flag, text); }
    void operator()(std::optional<int64_t> Request::*m) const { request.*m = whole_number(flag, text); }
    void operator()(double Request::*m) const { request.*m = real_number(flag, text); }
    void operator()(std::optional<double> Request::*m) const { request.*m = real_number(flag, text); }
    void operator()(std::optional<PixelPair> Request::*m) const { request.*m = pixel_pair(flag, text); }
    void operator()(uint64_t Request::*m) const { request.*m = seed_number(flag, text); }
    void operator()(bool Request::*m) const { request.*m = true; }
    void operator()(std::vector<double> Request::*) const { set_sigmas(request, number_list(flag, text)); }
  };
  std::visit(Setter{request, field.name, flag, text}, field.member);
}

}  // namespace sdtorch
