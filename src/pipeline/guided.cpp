#include "pipeline/guided.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <utility>

#include "pipeline/composed.hpp"
#include "pipeline/lora_stretches.hpp"
#include "pipeline/settings.hpp"

namespace sdtorch {
namespace {

/// A text as it changes from call to call; all else that the network sees is `like`'s. calls_before: those of another
/// model that began the run.
ChangingCondition over_calls(const TextTimeline& timeline, const Condition& like, int64_t calls_before) {
  if (timeline.texts.size() == 1) return always(like);
  auto conditions = std::make_shared<std::vector<Condition>>();
  std::vector<size_t> numbers;  // of equal texts the first, so that they are known to be the same
  for (size_t i = 0; i < timeline.texts.size(); ++i) {
    const auto same = std::ranges::find_if(timeline.texts, [&](const EncodedText& text) {
      return text.context.is_same(timeline.texts[i].context) && text.pooled.is_same(timeline.texts[i].pooled);
    });
    numbers.push_back(static_cast<size_t>(same - timeline.texts.begin()));
    Condition& own = conditions->emplace_back(like);
    own.context = timeline.texts[i].context;
    own.pooled = timeline.texts[i].pooled;
  }
  return [conditions, numbers = std::move(numbers), timeline = TextTimeline{.last_calls = timeline.last_calls},
          calls_before](const DenoiserCall& call) {
    return &(*conditions)[numbers[timeline.at_call(calls_before + call.call)]];
  };
}

/// Of what only a guided call sees.
ChangingCondition within(const std::optional<CfgInterval>& interval, ChangingCondition condition) {
  if (!interval) return condition;
  return [condition = std::move(condition), interval = *interval](const DenoiserCall& call) {
    return interval.holds(call) ? condition(call) : nullptr;
  };
}

/// One that changes and whose self-attention is perturbed.
ChangingCondition perturbed(ChangingCondition condition) {
  auto copies = std::make_shared<std::map<const Condition*, Condition>>();
  return [condition = std::move(condition), copies](const DenoiserCall& call) {
    const Condition* of = condition(call);
    const auto [copy, added] = copies->try_emplace(of, *of);
    if (added) copy->second.perturbed = true;
    return const_cast<const Condition*>(&copy->second);
  };
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
ChangingCondition until(std::optional<int64_t> gate_step, ChangingCondition to, Condition after,
                        const Condition& away) {
  if (!gate_step) return to;
  after.pooled = away.pooled;
  after.time_ids = away.time_ids;
  return [before = std::move(to), after = always(std::move(after)), gate = *gate_step](const DenoiserCall& call) {
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

/// What texts guide by.
struct TextGuidance {
  const Request& request;
  const ResolvedGuidance& guidance_of;
  std::optional<int64_t> gate_step{};
  Prediction prediction = Prediction::epsilon;
  int64_t calls_before = 0;  ///< see over_calls
};

/// What leads to a picture's prompt, one a part; a prompt of fewer parts than others in the batch has more of its
/// first, which count for nothing.
std::vector<ChangingCondition> leading_to(const TextConditions& text, const TextGuidance& by, size_t count) {
  std::vector<ChangingCondition> list;
  for (size_t i = 0; i < count; ++i) {
    const TextPart& part = text.parts[i < text.parts.size() ? i : 0];
    Condition like = *text.conditional;
    like.context = part.timeline.texts.front().context;
    like.pooled = part.timeline.texts.front().pooled;
    list.push_back(over_calls(part.timeline, like, by.calls_before));
  }
  return list;
}

/// Prompts that are sums, in any picture of the batch.
Conditions guided_by_sums(const std::vector<TextConditions>& texts, const TextGuidance& by, CombinationRule rule) {
  std::vector<std::vector<double>> weights;
  size_t most = 1;
  for (const TextConditions& text : texts) {
    std::vector<double>& own = weights.emplace_back();
    for (const TextPart& part : text.parts) own.push_back(part.weight);
    most = std::max(most, own.size());
  }
  Conditions conditions;
  for (const TextConditions& text : texts) {
    std::vector<ChangingCondition>& list = conditions.pictures.emplace_back();
    list.push_back(over_calls(text.negative, *text.unconditional, by.calls_before));
    std::ranges::move(leading_to(text, by, most), std::back_inserter(list));
  }
  const auto guides = [interval = by.guidance_of.interval](const DenoiserCall& call) {
    return !interval || interval->holds(call);
  };
  conditions.combine = sums_of_prompts(weights, texts.front().conditional->context.device(), guides, std::move(rule));
  return conditions;
}

Conditions guided_by_text(const std::vector<TextConditions>& texts, const TextGuidance& by) {
  const Request& request = by.request;
  const double pag_scale = by.guidance_of.perturbed.empty() ? 0 : request.pag_scale;
  const bool sums = std::ranges::any_of(texts, &TextConditions::composed);
  const bool scaled = request.cfg_scale != 1 || request.cfg_plus_plus;
  const bool pair = texts.front().unconditional && texts.front().conditional && (scaled || !sums);
  const CombinationRule rule = pair ? guidance({.scale = request.cfg_scale,
                                                .rescale = request.guidance_rescale,
                                                .pag_scale = pag_scale,
                                                .threshold = threshold_of(request, by.prediction)})
                                    : CombinationRule();
  Conditions conditions;
  if (sums) {
    conditions = guided_by_sums(texts, by, rule);
  } else {
    for (const TextConditions& text : texts) {
      std::vector<ChangingCondition>& list = conditions.pictures.emplace_back();
      const ChangingCondition to = text.conditional ? leading_to(text, by, 1).front()
                                                    : over_calls(text.negative, *text.unconditional, by.calls_before);
      if (pair) {
        const auto away = over_calls(text.negative, *text.unconditional, by.calls_before);
        list.push_back(until(by.gate_step, within(by.guidance_of.interval, away)));
        list.push_back(until(by.gate_step, to, *text.conditional, *text.unconditional));
      } else {
        list.push_back(to);
      }
      if (pag_scale != 0) list.push_back(perturbed(to));
    }
    conditions.combine = pair ? rule : pag_scale != 0 ? perturbed_guidance(pag_scale) : alone();
  }
  if (pair && request.cfg_plus_plus) conditions.renoised_by = 0;
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
    const auto to = [&] { return over_calls(text.parts.front().timeline, *text.conditional, 0); };
    if (!guides) {
      list.push_back(text.conditional ? to() : over_calls(text.negative, *text.unconditional, 0));
      continue;
    }
    Condition neither = *text.unconditional;
    neither.extra_channels = at::zeros_like(neither.extra_channels);
    list = {within(guidance_of.interval, over_calls(text.negative, neither, 0)),
            within(guidance_of.interval, over_calls(text.negative, *text.unconditional, 0)), to()};
  }
  conditions.combine = guides ? two_scales(picture_scale, text_scale) : alone();
  return conditions;
}

Conditions conditions_of(const Components& model, const std::vector<TextConditions>& texts, const TextGuidance& by) {
  if (model.description.task == Task::instruct_pix2pix) {
    return guided_by_picture(texts, by.request, by.guidance_of);
  }
  return guided_by_text(texts, by);
}

}  // namespace

Model guided(const Components& model, const std::vector<TextConditions>& texts, const ResolvedRequest& shared,
             Steering steering) {
  const Request& request = shared.request;
  const ResolvedGuidance& guidance_of = shared.guidance;
  const Prediction prediction = shared.plan.config.prediction_type;
  Model network = denoiser(model,
                           conditions_of(model, texts,
                                         {.request = request,
                                          .guidance_of = guidance_of,
                                          .gate_step = shared.shortcuts.gate_step,
                                          .prediction = prediction}),
                           {.prediction = prediction,
                            .guidance_scale = request.cfg_scale,
                            .steering = std::move(steering),
                            .perturbed = guidance_of.perturbed,
                            .sag_scale = request.sag_scale,
                            .freeu = guidance_of.freeu,
                            .shortcuts = shared.shortcuts,
                            .hypernetworks = shared.hypernetworks,
                            .image_scales = image_scales(shared),
                            .weights_stay = !vary(shared.loras)});
  if (!guidance_of.target_class) return network;
  return guided_by_classifier(std::move(network), {.classifier = model.classifier,
                                                   .target = *guidance_of.target_class,
                                                   .scale = request.classifier_scale.value_or(1),
                                                   .prediction = prediction});
}

Model guided_refiner(const Components& refiner, const std::vector<TextConditions>& texts,
                     const ResolvedRequest& shared) {
  const Prediction prediction = shared.refiner_plan->config.prediction_type;
  const ResolvedGuidance own = for_refiner(shared.guidance);
  return denoiser(refiner,
                  conditions_of(refiner, texts,
                                {.request = shared.request,
                                 .guidance_of = own,
                                 .prediction = prediction,
                                 .calls_before = std::ssize(shared.plan.timesteps)}),
                  {.prediction = prediction,
                   .guidance_scale = shared.request.cfg_scale,
                   .shortcuts = shared.shortcuts,
                   .hypernetworks = shared.hypernetworks});
}

}  // namespace sdtorch
