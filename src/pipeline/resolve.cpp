#include "pipeline/resolve.hpp"

#include <fmt/format.h>

#include "core/error.hpp"
#include "diffusion/start.hpp"
#include "pipeline/flag_names.hpp"
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
  return lines;
}

/// A refiner has never seen how a picture begins.
void check_draws_alone(const ModelDescription& model) {
  if (!model.xl || !model.xl->aesthetic_score) return;
  throw Error(ErrorKind::usage,
              {.file = "--model",
               .reason = fmt::format("{} is an SDXL refiner, which draws only the last steps", model.name),
               .hint = "give an SDXL model by --model, and this one by --refiner"});
}

SamplingPlan plan_of(const ModelDescription& model, const Request& request) {
  const SamplerChoice choice{.sampler = request.sampler,
                             .scheduler = request.scheduler,
                             .sigmas = request.sigmas,
                             .spacing = request.spacing,
                             .eta = request.eta,
                             .ignore_unknown = model.read_options.ignore_unknown,
                             .corrected = model.corrects_scheduler,
                             .sdxl = model.xl.has_value()};
  return in_flags([&] { return plan_sampling(model.scheduler, model.scheduler_file, choice, request.steps); });
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
  if (model.task != Task::text_to_image) {
    throw Error(ErrorKind::usage, {.file = "--model",
                                   .reason = fmt::format("{} is a model for {}: drawing with these is not there yet",
                                                         model.name, name_of(model.task)),
                                   .hint = "sdtorch inspect tells what it holds"});
  }
  ResolvedRequest resolved{.request = request};
  Request& filled = resolved.request;
  const int64_t factor = model.vae.factor();
  filled.width = request.width.value_or(model.unet.sample_size * factor);
  filled.height = request.height.value_or(model.unet.sample_size * factor);
  resolved.latent_width = latent_size("--width", *filled.width, factor);
  resolved.latent_height = latent_size("--height", *filled.height, factor);
  check_size_conditions(model, request);
  if (model.unet.time_cond_proj_dim > 0) resolved.warnings = unused_by_distilled_model(request);
  check_draws_alone(model);
  resolved.plan = plan_of(model, request);
  if (resolved.plan.sampler->name == "ipndm" && resolved.plan.config.prediction_type != Prediction::v) {
    resolved.warnings.push_back("--sampler ipndm takes the network's output for v, which this model does not predict");
  }
  if (refiner) {
    const double start = request.refiner_start.value_or(usual_refiner_start);
    filled.refiner_start = start;
    resolved.plan = in_flags([&] { return plan_until(std::move(resolved.plan), start); });
    resolved.refiner_plan = in_flags([&] { return plan_from(plan_of(*refiner, request), start); });
  }
  return resolved;
}

}  // namespace sdtorch
