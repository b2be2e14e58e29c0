#include "pipeline/request.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "core/error.hpp"
#include "core/number.hpp"
#include "core/suggest.hpp"
#include "core/utf8.hpp"
#include "diffusion/sampler.hpp"
#include "diffusion/scheduler_config.hpp"
#include "pipeline/flag_names.hpp"
#include "pipeline/request_fields.hpp"

namespace sdtorch {
namespace {

constexpr int64_t most_steps = 1'000'000;         // the model's own limit, checked with the model, is lower
constexpr int64_t largest_side = 16'384;          // pixels: three bytes each of the largest square still fit an int
constexpr int64_t largest_condition = 1'000'000;  // of what a model is told of sizes: fp32 holds it exactly
constexpr int64_t most_images = 1'000'000;
constexpr int64_t largest_batch = 4'096;

void check_range(const std::string& flag, int64_t value, int64_t least, int64_t most) {
  if (value < least || value > most) refuse(flag, fmt::format("must be {}…{}, is {}", least, most, value));
}

void check_pair(const std::string& flag, const std::optional<PixelPair>& pair) {
  if (!pair) return;
  check_range(flag, pair->vertical, 0, largest_condition);
  check_range(flag, pair->horizontal, 0, largest_condition);
}

void check_unit(const std::string& flag, double value) {
  if (!(value >= 0 && value <= 1)) refuse(flag, fmt::format("must be 0…1, is {}", value));
}

void check_text(const std::string& flag, const std::string& text) {
  if (const auto offset = invalid_utf8_offset(text)) {
    throw Error(ErrorKind::input,
                {.file = flag, .place = fmt::format("offset {}", *offset), .reason = "the text is not UTF-8"});
  }
  if (const size_t nul = text.find('\0'); nul != std::string::npos) {
    throw Error(ErrorKind::input,
                {.file = flag, .place = fmt::format("offset {}", nul), .reason = "the text holds a NUL character"});
  }
}

void check_choice(const std::string& flag, const std::string& value, std::span<const std::string_view> choices) {
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return;
  refuse(flag, fmt::format("'{}' is not a choice", value), did_you_mean(value, {choices.begin(), choices.end()}));
}

void check_scheduler(const std::string& value) {
  if (find_schedule(value)) return;
  if (parse_sampler_name(value).sampler)
    refuse("--scheduler", fmt::format("'{}' is a sampler", value), "say --sampler " + value);
  if (const std::string_view nearest = nearest_schedule(value); !nearest.empty()) {
    refuse("--scheduler", fmt::format("'{}' is not a choice", value), fmt::format("{} comes nearest", nearest));
  }
  check_choice("--scheduler", value, scheduler_names());
}

void check_list(const Request& request) {
  if (request.sigmas.empty()) return;
  in_flags([&] { check_sigmas(request.sigmas); });
  const int64_t listed = std::ssize(request.sigmas) - 1;
  if (request.steps != listed) {
    refuse("--steps", fmt::format("is {}, but --sigmas gives the levels of {}", request.steps, listed), "leave it out");
  }
  const auto refuse_beside = [](const std::string& flag) {
    refuse(flag, "--sigmas gives the noise levels already", "leave one of them out");
  };
  if (request.scheduler != scheduler_names().front()) refuse_beside("--scheduler");
  if (request.spacing) refuse_beside("--spacing");
}

void check_device(const std::string& device) {
  if (device == "auto" || device == "cpu" || device == "cuda") return;
  constexpr std::string_view indexed = "cuda:";
  const auto index = device.starts_with(indexed) ? parse_unsigned(device.substr(indexed.size())) : std::nullopt;
  constexpr uint64_t most_devices = 128;  // what LibTorch's own index type holds
  if (index && *index < most_devices) return;
  refuse("--device", fmt::format("'{}' is not a device", device),
         did_you_mean(device, {"auto", "cpu", "cuda", "cuda:0"}));
}

void check_prediction(const std::string& value) {
  if (find_prediction(value)) return;
  refuse("--prediction", fmt::format("'{}' is not a choice", value),
         did_you_mean(value, {"epsilon", "v", "x0", "eps", "v_prediction", "sample"}));
}

void check_refiner_start(const Request& request) {
  const double start = *request.refiner_start;
  if (request.refiner.empty()) refuse("--refiner-start", "there is no refiner to start", "give --refiner MODEL");
  if (!(start > 0 && start < 1)) {
    refuse("--refiner-start", fmt::format("must be above 0 and below 1, is {}", start), "0.8 is usual");
  }
}

void check_sampler(const Request& request) {
  if (!request.sampler) return;
  if (!find_sampler(*request.sampler)) {
    refuse("--sampler", fmt::format("no sampler '{}'", *request.sampler),
           did_you_mean(*request.sampler, sampler_names()));
  }
}

}  // namespace

void Request::validate() const {
  if (prediction) check_prediction(*prediction);
  if (refiner_start) check_refiner_start(*this);
  check_text("--prompt", prompt);
  if (negative_prompt) check_text("--negative-prompt", *negative_prompt);
  check_range("--steps", steps, 1, most_steps);
  if (!(std::isfinite(cfg_scale) && cfg_scale >= 0)) {
    refuse("--cfg-scale", fmt::format("must be 0 or more, is {}", cfg_scale));
  }
  check_unit("--guidance-rescale", guidance_rescale);
  if (width) check_range("--width", *width, 1, largest_side);
  if (height) check_range("--height", *height, 1, largest_side);
  check_pair("--original-size", original_size);
  check_pair("--crop", crop);
  check_pair("--target-size", target_size);
  check_range("--batch-count", batch_count, 1, most_images);
  check_range("--batch-size", batch_size, 1, largest_batch);
  check_sampler(*this);
  check_scheduler(scheduler);
  check_list(*this);
  if (spacing) check_choice("--spacing", *spacing, spacing_names);
  if (eta) check_unit("--eta", *eta);
  check_device(device);
  check_choice("--dtype", dtype, dtype_names);
}

std::vector<std::string> Request::warnings() const {
  std::vector<std::string> lines;
  if (cfg_scale == 0) lines.emplace_back("--cfg-scale 0 ignores the prompt; what diffusers calls 0 is 1 here");
  if (!sigmas.empty() && sigmas.back() > 0) {
    lines.push_back(
        fmt::format("--sigmas ends at {}, so that noise stays in the picture; end it with 0", sigmas.back()));
  }
  if (batch_size > batch_count) {
    lines.push_back(fmt::format("--batch-size {} is more than --batch-count {}, which is the number of pictures",
                                batch_size, batch_count));
  }
  return lines;
}

Request Request::image(int64_t index) const {
  Request alone = *this;
  alone.seed += static_cast<uint64_t>(index);
  alone.batch_count = 1;
  alone.batch_size = 1;
  return alone;
}

}  // namespace sdtorch
