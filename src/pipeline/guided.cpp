#include "pipeline/guided.hpp"

#include <utility>

#include "pipeline/settings.hpp"

namespace sdtorch {
namespace {

/// Of what only a guided call sees.
ChangingCondition within(const std::optional<CfgInterval>& interval, Condition condition) {
  if (!interval) return always(std::move(condition));
  return holding(std::move(condition),
                 [interval = *interval](const DenoiserCall& call) { return interval.holds(call); });
}

Condition perturbed(Condition condition) {
  condition.perturbed = true;
  return condition;
}

std::optional<DynamicThreshold> threshold_of(const Request& request, Prediction prediction) {
  const std::vector<double>& said = request.dynamic_threshold;
  if (said.empty()) return std::nullopt;
  DynamicThreshold threshold{.mimic_scale = said[0], .prediction = prediction};
  if (said.size() > 1) threshold.quantile = said[1] > 1 ? said[1] / 100 : said[1];
  return threshold;
}

/// What leads the network before a gate closes, and after: its layers then have the text no longer, and of the rest
/// SDXL is told what belongs to the negative prompt, as the reference does it.
ChangingCondition until(std::optional<int64_t> gate_step, const Condition& to, const Condition& away) {
  if (!gate_step) return always(to);
  Condition after = to;
  after.pooled = away.pooled;
  after.time_ids = away.time_ids;
  return [before = always(to), after = always(std::move(after)), gate = *gate_step](const DenoiserCall& call) {
    return call.step < gate ? before(call) : after(call);
  };
}

/// Of what only a guided call sees, which none is once the gate is closed.
ChangingCondition until(std::optional<int64_t> gate_step, ChangingCondition guiding) {
  if (!gate_step) return guiding;
  return [guiding = std::move(guiding), gate = *gate_step](const DenoiserCall& call) {
    return call.step < gate ? guiding(call) : nullptr;
  };
}

Conditions guided_by_text(const std::vector<TextConditions>& texts, const Request& request,
                          const ResolvedGuidance& guidance_of, std::optional<int64_t> gate_step,
                          Prediction prediction) {
  const double pag_scale = guidance_of.perturbed.empty() ? 0 : request.pag_scale;
  const bool pair = texts.front().unconditional && texts.front().conditional;
  Conditions conditions;
  for (const TextConditions& text : texts) {
    std::vector<ChangingCondition>& list = conditions.pictures.emplace_back();
    const Condition& to = text.conditional ? *text.conditional : *text.unconditional;
    if (pair) list.push_back(until(gate_step, within(guidance_of.interval, *text.unconditional)));
    list.push_back(pair ? until(gate_step, to, *text.unconditional) : always(to));
    if (pag_scale != 0) list.push_back(always(perturbed(to)));
  }
  if (pair) {
    conditions.combine = guidance({.scale = request.cfg_scale,
                                   .rescale = request.guidance_rescale,
                                   .pag_scale = pag_scale,
                                   .threshold = threshold_of(request, prediction)});
    if (request.cfg_plus_plus) conditions.renoised_by = 0;
  } else {
    conditions.combine = pag_scale != 0 ? perturbed_guidance(pag_scale) : alone();
  }
  return conditions;
}

Conditions guided_by_picture(const std::vector<TextConditions>& texts, const Request& request,
                             const ResolvedGuidance& guidance_of) {
  const double text_scale = request.cfg_scale;
  const double picture_scale = request.image_cfg_scale.value_or(usual_image_cfg_scale);
  const bool guides = text_scale > 1 && picture_scale >= 1;
  Conditions conditions;
  for (const TextConditions& text : texts) {
    std::vector<ChangingCondition>& list = conditions.pictures.emplace_back();
    if (!guides) {
      list.push_back(always(text.conditional ? *text.conditional : *text.unconditional));
      continue;
    }
    Condition neither = *text.unconditional;
    neither.extra_channels = at::zeros_like(neither.extra_channels);
    list = {within(guidance_of.interval, std::move(neither)), within(guidance_of.interval, *text.unconditional),
            always(*text.conditional)};
  }
  conditions.combine = guides ? two_scales(picture_scale, text_scale) : alone();
  return conditions;
}

Conditions conditions_of(const Components& model, const std::vector<TextConditions>& texts, const Request& request,
                         const ResolvedGuidance& guidance_of, std::optional<int64_t> gate_step, Prediction prediction) {
  if (model.description.task == Task::instruct_pix2pix) return guided_by_picture(texts, request, guidance_of);
  return guided_by_text(texts, request, guidance_of, gate_step, prediction);
}

}  // namespace

Model guided(const Components& model, const std::vector<TextConditions>& texts, const ResolvedRequest& shared,
             Steering steering) {
  const Request& request = shared.request;
  const ResolvedGuidance& guidance_of = shared.guidance;
  const Prediction prediction = shared.plan.config.prediction_type;
  Model network =
      denoiser(model, conditions_of(model, texts, request, guidance_of, shared.shortcuts.gate_step, prediction),
               {.prediction = prediction,
                .guidance_scale = request.cfg_scale,
                .steering = std::move(steering),
                .perturbed = guidance_of.perturbed,
                .sag_scale = request.sag_scale,
                .freeu = guidance_of.freeu,
                .shortcuts = shared.shortcuts,
                .image_scales = image_scales(shared)});
  if (!guidance_of.target_class) return network;
  return guided_by_classifier(std::move(network), {.classifier = model.classifier,
                                                   .target = *guidance_of.target_class,
                                                   .scale = request.classifier_scale.value_or(1),
                                                   .prediction = prediction});
}

Model guided_refiner(const Components& refiner, const std::vector<TextConditions>& texts,
                     const ResolvedRequest& shared) {
  const Prediction prediction = shared.refiner_plan->config.prediction_type;
  return denoiser(
      refiner, conditions_of(refiner, texts, shared.request, for_refiner(shared.guidance), {}, prediction),
      {.prediction = prediction, .guidance_scale = shared.request.cfg_scale, .shortcuts = shared.shortcuts});
}

}  // namespace sdtorch
