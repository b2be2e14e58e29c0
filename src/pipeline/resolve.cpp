#include "pipeline/resolve.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "core/error.hpp"
#include "diffusion/start.hpp"
#include "pipeline/compat.hpp"
#include "pipeline/embeddings.hpp"
#include "pipeline/flag_names.hpp"
#include "pipeline/input_pictures.hpp"
#include "pipeline/prompt_tags.hpp"
#include "pipeline/settings.hpp"

namespace sdtorch {
namespace {

int64_t latent_size(const char* flag, int64_t pixels, int64_t factor) {
  if (pixels % factor == 0) return pixels / factor;
  const int64_t below = pixels / factor * factor;
  throw Error(ErrorKind::usage,
              {.file = flag,
               .reason = fmt::format("{} is not a multiple of {}", pixels, factor),
               .hint = below > 0 ? fmt::format("use {} or {}", below, below + factor) : fmt::format("use {}", factor)});
}

void check_size_conditions(const ModelDescription& model, const Request& request) {
  if (model.xl) return;
  const auto refuse_size = [&](const char* flag, const std::optional<PixelPair>& given) {
    if (!given) return;
    throw Error(ErrorKind::usage, {.file = flag,
                                   .reason = fmt::format("{} has no use for it", model.name),
                                   .hint = "only SDXL models are told of sizes"});
  };
  refuse_size("--original-size", request.original_size);
  refuse_size("--crop", request.crop);
  refuse_size("--target-size", request.target_size);
}

/// A model that takes the guidance scale as an input needs no second evaluation, and sees no second prompt.
std::vector<std::string> unused_by_distilled_model(const Request& request) {
  std::vector<std::string> lines;
  const std::string reason = " changes nothing: the model takes the guidance scale as an input (time_cond_proj_dim)";
  if (!request.negative_prompt.value_or("").empty()) lines.push_back("--negative-prompt" + reason);
  if (request.guidance_rescale != 0) lines.push_back("--guidance-rescale" + reason);
  if (!request.cfg_interval.empty()) lines.push_back("--cfg-interval" + reason);
  if (request.cfg_plus_plus) lines.push_back("--cfg-plus-plus" + reason);
  if (!request.dynamic_threshold.empty()) lines.push_back("--dynamic-threshold" + reason);
  return lines;
}

/// A refiner has never seen how a picture begins.
void check_draws_alone(const ModelDescription& model, const Request& request) {
  if (!model.xl || !model.xl->aesthetic_score || !request.init_img.empty()) return;
  throw Error(ErrorKind::usage,
              {.file = "--model",
               .reason = fmt::format("{} is an SDXL refiner, which draws only the last steps", model.name),
               .hint = "give an SDXL model by --model, and this one by --refiner, or a picture by --init-img"});
}

/// Whether all steps are spread over the share that is left, as image-to-image does with consistency models alone.
bool spreads_steps(const ModelDescription& model, const Request& request) {
  return model.consistency && !request.init_img.empty() && !has_mask(request);
}

/// The share of a consistency model's timesteps that its steps lie in.
double share_of(const ModelDescription& model, const Request& request) {
  return spreads_steps(model, request) ? strength_of(request) : 1;
}

SamplingPlan plan_of(const ModelDescription& model, const Request& request) {
  const SamplerChoice choice{.sampler = request.sampler,
                             .scheduler = request.scheduler,
                             .sigmas = request.sigmas,
                             .spacing = request.spacing,
                             .eta = request.eta,
                             .ignore_unknown = model.read_options.ignore_unknown,
                             .share = share_of(model, request),
                             .corrected = model.corrects_scheduler,
                             .sdxl = model.xl.has_value(),
                             .levels = compat_rules(request).levels};
  return in_flags([&] { return plan_sampling(model.scheduler, model.scheduler_file, choice, request.steps); });
}

/// The least strength that leaves one of the steps, in as few digits as say it.
double least_strength(int64_t steps) {
  for (double scale = 10;; scale *= 10) {
    const double strength = std::ceil(scale / static_cast<double>(steps)) / scale;
    if (strength <= 1 && first_step_of(strength, steps) < steps && strength * static_cast<double>(steps) < 1.5) {
      return strength;
    }
  }
}

/// A1111's and stable-diffusion.cpp's first step, one before diffusers'; there is always one.
int64_t first_of_a_step_more(double strength, int64_t steps) {
  constexpr double most_strength = 0.999;
  return steps - 1 - static_cast<int64_t>(std::min(strength, most_strength) * static_cast<double>(steps));
}

/// How many steps a run has whose last `steps` are the share `strength` of it, rounded down, as ComfyUI counts them.
int64_t longer_run(const SamplingPlan& plan, int64_t steps, double strength) {
  const double all = static_cast<double>(steps) / strength;
  const auto most = static_cast<double>(plan.config.num_train_timesteps);
  if (all < most + 1) return static_cast<int64_t>(all);
  refuse("--strength",
         fmt::format("{} steps are {} of {:g}, and the model has {}", steps, strength, std::floor(all), most),
         "take more, or fewer --steps");
}

/// The part of a plan that a picture's own strength leaves.
SamplingPlan plan_from_picture(const ModelDescription& model, SamplingPlan plan, const Request& request) {
  const bool instructed = model.task == Task::instruct_pix2pix;
  if (request.init_img.empty() || instructed || spreads_steps(model, request)) return plan;
  const double strength = strength_of(request);
  const StrengthSteps kind = compat_rules(request).strength_steps;
  if (kind == StrengthSteps::all && strength > 0 && strength < 1) {
    Request longer = request;
    longer.steps = longer_run(plan, request.steps, strength);
    const SamplingPlan whole = plan_of(model, longer);
    return in_flags([&] { return plan_from_step(whole, steps_of(whole) - request.steps); });
  }
  const int64_t first = kind == StrengthSteps::extra ? first_of_a_step_more(strength, request.steps)
                                                     : first_step_of(strength, request.steps);
  if (first == request.steps) {
    refuse("--strength", fmt::format("{} of {} steps is none", strength, request.steps),
           fmt::format("take {} or more, or more --steps", least_strength(request.steps)));
  }
  return in_flags([&] { return plan_from_step(std::move(plan), first); });
}

/// The picture to start from, and its size where nothing else is said.
void take_start_picture(const ModelDescription& model, ResolvedRequest& resolved) {
  Request& request = resolved.request;
  if (request.init_img.empty()) return;
  if (request.inpaint_area == "masked") {
    const int64_t own = model.unet.sample_size * model.vae.factor();
    request.width = request.width.value_or(own);
    request.height = request.height.value_or(own);
  }
  resolved.start = read_start_picture(request, model.vae.factor(), resolved.warnings);
}

/// How many steps lead from pure noise to the picture where `steps` of them are the share `strength`: A1111's
/// setup_img2img_steps.
int64_t hires_steps_in_all(const SamplingPlan& first, int64_t steps, double strength) {
  constexpr double most_strength = 0.999;
  const double all = static_cast<double>(steps) / std::min(strength, most_strength);
  const auto most = static_cast<double>(first.config.num_train_timesteps);
  if (all < most + 1) return static_cast<int64_t>(all);
  refuse("--hires-strength",
         fmt::format("{} steps at strength {} are the last of {:g}, and the model has {}", steps, strength,
                     std::floor(all), most),
         steps < first.config.num_train_timesteps ? "take more, or fewer --hires-steps" : "take fewer --hires-steps");
}

/// What the second pass refuses is refused as its own.
template <typename F>
auto in_second_pass(F&& f) -> decltype(f()) {
  try {
    return std::forward<F>(f)();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::usage) throw;
    const ErrorParts& parts = error.parts();
    refuse("--hires-scale", fmt::format("the second pass: {}: {}", parts.file, parts.reason), parts.hint);
  }
}

/// Network calls as schedules in prompts count them: samplers that take two a step have twice as many.
int64_t counted_calls(const SamplingPlan& plan, int64_t steps) { return steps * plan.sampler->calls_per_step; }

/// A1111's hires fix: the picture once more, larger, from what the first pass drew. A size that is no multiple of the
/// VAE's factor is rounded down.
std::shared_ptr<const ResolvedRequest> resolve_hires(const ModelDescription& model, const ResolvedRequest& first) {
  ResolvedRequest second{.request = first.request};
  Request& request = second.request;
  const int64_t factor = model.vae.factor(), wanted = request.hires_steps.value_or(0);
  const int64_t steps = wanted > 0 ? wanted : request.steps;
  request.steps = hires_steps_in_all(first.plan, steps, request.hires_strength.value_or(usual_hires_strength));
  const auto enlarge = [&](std::optional<int64_t>& pixels) {
    const auto larger = static_cast<int64_t>(static_cast<double>(*pixels) * *request.hires_scale);
    pixels = larger / factor * factor;
    return *pixels / factor;
  };
  second.guidance = first.guidance;
  second.shortcuts = first.shortcuts;
  second.tiles = first.tiles;
  second.hypernetworks = first.hypernetworks;
  second.words = first.words;
  second.loras = first.loras;
  second.image_prompts = first.image_prompts;
  second.latent_width = enlarge(request.width);
  second.latent_height = enlarge(request.height);
  in_second_pass([&] {
    check_ranges({ModelChoice{}, request});
    second.controls = resolve_controls(model, request, nullptr, second.warnings);
    second.plan = in_flags([&] { return plan_from_step(plan_of(model, request), request.steps - steps); });
    std::vector<std::string> said_already;
    second.prompts = resolve_prompts(
        model, request,
        {.calls = counted_calls(second.plan, steps), .before = counted_calls(first.plan, first.request.steps)},
        said_already);
  });
  return std::make_shared<const ResolvedRequest>(std::move(second));
}

/// A text that changes in the middle of a run has no place in layers that keep what it last said.
void check_loras(const ResolvedRequest& resolved, const ModelDescription* refiner, std::vector<std::string>& warnings) {
  if (resolved.shortcuts.gate_step && std::ranges::any_of(resolved.loras, &ResolvedLora::text_varies)) {
    refuse("--tgate", "does not go with a LoRA whose weight in the text encoder changes over the steps",
           "give it one number there, as FILE:0.2@0,0.8@0.5:1");
  }
  if (refiner && !resolved.loras.empty()) warnings.emplace_back("--refiner: LoRAs are put on the model alone");
}

/// What a model for more than text needs, and what it has no use for.
void check_task(const ModelDescription& model, const Request& request) {
  const std::string what = fmt::format("{} is a model for {}", model.name, name_of(model.task));
  const bool instructed = model.task == Task::instruct_pix2pix;
  if (model.task == Task::inpainting && !has_mask(request)) {
    refuse("--mask", what + ", which needs one", "give --init-img and --mask");
  }
  if (instructed && request.init_img.empty()) refuse("--init-img", what + ", which needs a picture");
  if (instructed && has_mask(request)) {
    refuse(mask_flag(request), what + ", which sees no mask");
  }
  if (instructed && request.strength) refuse("--strength", what + ", which starts from noise", "see --image-cfg-scale");
  if (!instructed && request.image_cfg_scale) {
    refuse("--image-cfg-scale", what, "only InstructPix2Pix is guided by a picture");
  }
  check_depth(model, request);
}

/// What other tools' SDXL makes of a negative prompt that is empty.
void settle_negative(Request& request) {
  const EmptyNegative rule = compat_rules(request).empty_negative;
  if (!request.negative_prompt.value_or("").empty()) return;
  if (rule == EmptyNegative::zeros) request.negative_prompt.reset();
  if (rule == EmptyNegative::encoded) request.negative_prompt = "";
}

}  // namespace

void check_refiner(const ModelDescription& model, const ModelDescription& refiner) {
  const auto refuse_refiner = [](const std::string& reason) {
    throw Error(ErrorKind::usage, {.file = "--refiner", .reason = reason});
  };
  if (!model.xl) refuse_refiner(fmt::format("{} is no SDXL model, and only such are refined", model.name));
  if (!refiner.xl) refuse_refiner(fmt::format("{} is no SDXL model", refiner.name));
  if (refiner.task != Task::text_to_image) {
    refuse_refiner(fmt::format("{} is a model for {}", refiner.name, name_of(refiner.task)));
  }
  if (refiner.vae.latent_channels != model.vae.latent_channels || refiner.vae.factor() != model.vae.factor()) {
    refuse_refiner(fmt::format("the latents of {} are not those of {}", refiner.name, model.name));
  }
}

ResolvedRequest resolve(const ModelDescription& model, const Request& request, const ModelDescription* refiner) {
  request.validate();
  check_task(model, request);
  if (request.hires_scale && refiner) refuse("--hires-scale", "does not go with --refiner");
  ResolvedRequest resolved{.request = request};
  if (has_mask(request) && refiner) refuse("--refiner", fmt::format("does not go with {}", mask_flag(request)));
  Request& filled = resolved.request;
  draw_variation_seed(filled);
  take_styles(filled);
  if (model.xl) settle_negative(filled);
  const int64_t factor = model.vae.factor();
  take_start_picture(model, resolved);
  if (model.task == Task::depth) resolved.depth = resolve_depth(model, filled, resolved.start->image);
  const bool masked = resolved.start && resolved.start->mask;
  resolved.controls = resolve_controls(model, filled, masked ? &*resolved.start->mask : nullptr, resolved.warnings);
  resolved.image_prompts = resolve_image_prompts(model, filled);
  filled.width = filled.width.value_or(model.unet.sample_size * factor);
  filled.height = filled.height.value_or(model.unet.sample_size * factor);
  resolved.latent_width = latent_size("--width", *filled.width, factor);
  resolved.latent_height = latent_size("--height", *filled.height, factor);
  check_size_conditions(model, request);
  if (model.unet.time_cond_proj_dim > 0)
    std::ranges::copy(unused_by_distilled_model(request), std::back_inserter(resolved.warnings));
  check_draws_alone(model, request);
  resolved.plan = plan_from_picture(model, plan_of(model, request), request);
  check_level_flags(request, *resolved.plan.sampler);
  resolved.guidance = resolve_guidance(model, filled, *resolved.plan.sampler);
  resolved.shortcuts = resolve_shortcuts(model, refiner, filled, steps_of(resolved.plan));
  resolved.tiles = resolve_tiles(model, filled, resolved.warnings);
  resolved.loras = resolve_loras(model, filled, resolved.warnings);
  check_loras(resolved, refiner, resolved.warnings);
  resolved.hypernetworks = resolve_hypernetworks(model, refiner, filled);
  resolved.prompts =
      resolve_prompts(model, filled, {.calls = counted_calls(resolved.plan, filled.steps)}, resolved.warnings);
  const std::vector<std::string> texts = texts_of(resolved.prompts);
  resolved.words = resolve_embeddings(model, filled, resolved.loras, texts, resolved.warnings);
  if (std::vector<std::string> said_already; refiner) {
    resolved.refiner_words = resolve_embeddings(*refiner, filled, {}, texts, said_already);
  }
  if (resolved.plan.sampler->name == "ipndm" && resolved.plan.config.prediction_type != Prediction::v) {
    resolved.warnings.push_back("--sampler ipndm takes the network's output for v, which this model does not predict");
  }
  if (refiner) {
    const double start = request.refiner_start.value_or(usual_refiner_start);
    filled.refiner_start = start;
    resolved.plan = in_flags([&] { return plan_until(std::move(resolved.plan), start); });
    resolved.refiner_plan = in_flags([&] { return plan_from(plan_of(*refiner, request), start); });
  }
  if (request.hires_scale) resolved.hires = resolve_hires(model, resolved);
  return resolved;
}

}  // namespace sdtorch
