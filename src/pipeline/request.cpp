#include "sdtorch/request.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "core/error.hpp"
#include "core/number.hpp"
#include "core/suggest.hpp"
#include "core/utf8.hpp"
#include "diffusion/sampler.hpp"
#include "diffusion/scheduler_config.hpp"
#include "pipeline/compat.hpp"
#include "pipeline/flag_names.hpp"
#include "pipeline/prompt_rules.hpp"
#include "pipeline/prompt_tags.hpp"
#include "pipeline/resolved_guidance.hpp"
#include "pipeline/settings.hpp"
#include "pipeline/shortcuts.hpp"
#include "pipeline/tiling.hpp"

namespace sdtorch {
namespace {

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

std::vector<std::string> strings(std::span<const std::string_view> names) { return {names.begin(), names.end()}; }

void check_scheduler(const std::string& value) {
  if (find_schedule(value)) return;
  if (parse_sampler_name(value).sampler)
    refuse("--scheduler", fmt::format("'{}' is a sampler", value), "say --sampler " + value);
  if (std::ranges::find(spacing_names, value) != spacing_names.end()) {
    refuse("--scheduler", fmt::format("'{}' is a spacing", value), "say --spacing " + value);
  }
  if (const std::string_view nearest = nearest_schedule(value); !nearest.empty()) {
    refuse("--scheduler", fmt::format("'{}' is not a choice", value), fmt::format("{} comes nearest", nearest));
  }
  check_choice("--scheduler", value, strings(scheduler_names()));
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
  check_choice("--prediction", value, {"epsilon", "v", "x0", "eps", "v_prediction", "sample"});
}

void check_sampler(const Request& request) {
  if (!request.sampler) return;
  if (!find_sampler(*request.sampler)) {
    refuse("--sampler", fmt::format("no sampler '{}'", *request.sampler),
           did_you_mean(*request.sampler, sampler_names()));
  }
}

void check_mask(const Request& request) {
  const bool masked = has_mask(request);
  if (masked && request.init_img.empty()) {
    refuse(mask_flag(request), fmt::format("there is no picture to {}", names_mask(request) ? "repaint" : "expand"),
           "give --init-img FILE");
  }
  if (request.expand == PixelMargins{}) refuse("--expand", "0,0,0,0 grows nothing");
  if (!request.mask.empty() && request.mask_from_alpha) {
    refuse("--mask-from-alpha", "--mask gives a mask already", "leave one of them out");
  }
  check_choice("--inpaint-area", request.inpaint_area, strings(inpaint_area_names));
  const auto refuse_without = [](const char* flag) { refuse(flag, "there is no mask", "give --mask FILE"); };
  if (request.mask_invert && !names_mask(request)) refuse_without("--mask-invert");
  if (masked) return;
  if (request.mask_blur != 0) refuse_without("--mask-blur");
  if (request.keep_unmasked) refuse_without("--keep-unmasked");
  if (request.inpaint_area != inpaint_area_names.front()) refuse_without("--inpaint-area");
}

void check_hires(const Request& request) {
  if (!request.hires_scale) {
    const auto refuse_without = [](const char* flag) {
      refuse(flag, "there is no second pass", "give --hires-scale F");
    };
    if (request.hires_steps) refuse_without("--hires-steps");
    if (request.hires_strength) refuse_without("--hires-strength");
    if (request.hires_upscaler) refuse_without("--hires-upscaler");
    return;
  }
  if (!request.init_img.empty()) refuse("--hires-scale", "does not go with --init-img", "give -W and -H instead");
  if (!request.sigmas.empty()) {
    refuse("--hires-scale", "does not go with --sigmas: the second pass has other noise levels", "say --scheduler");
  }
  if (request.hires_strength == 0) refuse("--hires-strength", "0 draws nothing anew", "leave --hires-scale out");
  std::vector<std::string> names;
  for (const HiresUpscaler& upscaler : hires_upscalers) names.emplace_back(upscaler.name);
  if (request.hires_upscaler) check_choice("--hires-upscaler", *request.hires_upscaler, names);
}

/// All that a request is held to, and with it how many pictures are asked for.
void check_request(const Settings& all) {
  check_text("--prompt", all.prompt);
  if (all.negative_prompt) check_text("--negative-prompt", *all.negative_prompt);
  check_ranges(all);
  check_sampler(all);
  check_scheduler(all.scheduler);
  check_list(all);
  check_choice("--resize", all.resize, strings(resize_names));
  if (all.strength && all.init_img.empty()) {
    refuse("--strength", "there is no picture to start from", "give --init-img FILE");
  }
  if (!all.depth_img.empty() && all.init_img.empty()) {
    refuse("--depth-img", "there is no picture to start from", "give --init-img FILE");
  }
  check_mask(all);
  check_guidance(all);
  check_shortcuts(all);
  check_hires(all);
  check_compat(all);
  check_tiling(all);
  check_prompt_rules(all);
  if (all.spacing) check_choice("--spacing", *all.spacing, strings(spacing_names));
}

}  // namespace

void ModelChoice::validate() const {
  if (prediction) check_prediction(*prediction);
  check_device(device);
  check_choice("--dtype", dtype, strings(dtype_names));
  if (!quantize.empty()) check_choice("--quantize", quantize, strings(quantize_names));
}

void Request::validate() const { check_request({ModelChoice{}, *this}); }

std::vector<std::string> Request::warnings() const {
  std::vector<std::string> lines;
  if (cfg_scale == 0) lines.emplace_back("--cfg-scale 0 ignores the prompt; what diffusers calls 0 is 1 here");
  if (cfg_plus_plus && cfg_scale > 1) {
    lines.push_back(
        fmt::format("--cfg-scale {} burns the picture with --cfg-plus-plus, whose scale is 0…1", cfg_scale));
  }
  if (!cfg_interval.empty() && !cfg_plus_plus && (cfg_scale == 0 || cfg_scale == 1)) {
    lines.push_back(fmt::format("--cfg-interval changes nothing: at --cfg-scale {} nothing is guided", cfg_scale));
  }
  if (!sigmas.empty() && sigmas.back() > 0) {
    lines.push_back(
        fmt::format("--sigmas ends at {}, so that noise stays in the picture; end it with 0", sigmas.back()));
  }
  return lines;
}

bool can_share_batch(const Request& a, const Request& b) {
  Request other = b;
  other.prompt = a.prompt;
  other.negative_prompt = a.negative_prompt;
  other.seed = a.seed;
  other.variation_seed = a.variation_seed;
  other.noise_slice = a.noise_slice;
  other.embedding = a.embedding;  // they change texts alone
  other.original_size = a.original_size;
  other.crop = a.crop;
  other.target_size = a.target_size;
  const bool given_size = a.width && a.height;
  if (given_size && a.init_img.empty() == b.init_img.empty() && has_mask(a) == has_mask(b)) {
    other.init_img = a.init_img;
    other.depth_img = a.depth_img;
    other.mask = a.mask;
    other.mask_from_alpha = a.mask_from_alpha;
    other.mask_invert = a.mask_invert;
    other.mask_blur = a.mask_blur;
    other.keep_unmasked = a.keep_unmasked;
  }
  if (given_size && a.control_image.size() == b.control_image.size()) other.control_image = a.control_image;
  if (a.ip_image.size() == b.ip_image.size()) other.ip_image = a.ip_image;
  other.inputs = a.inputs;
  return a == other && same_tags(a, b);
}

void Settings::validate() const {
  ModelChoice::validate();
  if (refiner_start && refiner.empty()) {
    refuse("--refiner-start", "there is no refiner to start", "give --refiner MODEL");
  }
  if (!refiner.empty() && hires_scale) refuse("--hires-scale", "does not go with --refiner");
  check_request(*this);
}

std::vector<std::string> Settings::warnings() const {
  std::vector<std::string> lines = Request::warnings();
  if (batch_size > batch_count) {
    lines.push_back(fmt::format("--batch-size {} is more than --batch-count {}, which is the number of pictures",
                                batch_size, batch_count));
  }
  return lines;
}

}  // namespace sdtorch
