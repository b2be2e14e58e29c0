#include "pipeline/resolved_guidance.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <regex>

#include "core/error.hpp"
#include "core/number.hpp"
#include "networks/self_attention.hpp"
#include "pipeline/model_description.hpp"
#include "pipeline/self_attention_guidance.hpp"
#include "pipeline/settings.hpp"

namespace sdtorch {
namespace {

constexpr size_t longest_pattern = 200;
constexpr double largest_factor = 1'000'000;

/// `down_blocks.1` and its kin, each once, in the network's order.
std::vector<std::string> blocks_of(const std::vector<std::string>& layers) {
  std::vector<std::string> blocks;
  for (const std::string& layer : layers) {
    std::string block = layer.substr(0, layer.find(".attentions"));
    if (blocks.empty() || blocks.back() != block) blocks.push_back(std::move(block));
  }
  return blocks;
}

/// The layers whose keys a pattern is found in, as diffusers' pag_applied_layers are.
std::vector<std::string> layers_of(const std::string& pattern, const std::vector<std::string>& layers) {
  constexpr const char* flag = "--pag-layers";
  if (pattern.empty() || pattern.size() > longest_pattern) {
    refuse(flag, fmt::format("a pattern has 1…{} characters", longest_pattern));
  }
  std::vector<std::string> found;
  try {
    const std::regex expression(pattern);
    std::ranges::copy_if(layers, std::back_inserter(found),
                         [&](const std::string& layer) { return std::regex_search(layer, expression); });
  } catch (const std::regex_error&) {
    refuse(flag, fmt::format("'{}' is no regular expression", pattern));
  }
  if (found.empty()) {
    refuse(flag, fmt::format("'{}' is in the name of no self-attention layer", pattern),
           layers.empty()
               ? "the model has none"
               : fmt::format("such as {}; they stand in {}", layers.front(), fmt::join(blocks_of(layers), ", ")));
  }
  return found;
}

std::vector<std::string> perturbed_layers(const ModelDescription& model, const Request& request) {
  const std::vector<std::string> all = self_attention_layers(model.unet);
  std::vector<std::string> layers;
  for (const std::string& pattern : comma_parts(request.pag_layers)) {
    for (std::string& layer : layers_of(pattern, all)) layers.push_back(std::move(layer));
  }
  return layers;
}

void check_self_attention_guidance(const ModelDescription& model, const Request& request) {
  constexpr const char* flag = "--sag-scale";
  if (middle_self_attention(model.unet).empty()) {
    refuse(flag, fmt::format("the mid block of {} has no self-attention to look at", model.name));
  }
  const int64_t least = least_side_to_blur * model.vae.factor();
  if (request.width.value_or(least) < least || request.height.value_or(least) < least) {
    refuse(flag, fmt::format("needs a picture of at least {0}x{0}", least));
  }
}

/// What leads away from a second condition has to be told there.
void check_instructed(const ModelDescription& model, const Request& request) {
  const auto refuse_flag = [&](const char* flag) {
    refuse(flag,
           fmt::format("{} is a model for {}, which is guided in three ways already", model.name, name_of(model.task)));
  };
  if (request.pag_scale != 0) refuse_flag("--pag-scale");
  if (request.sag_scale != 0) refuse_flag("--sag-scale");
  if (request.cfg_plus_plus) refuse_flag("--cfg-plus-plus");
  if (!request.dynamic_threshold.empty()) refuse_flag("--dynamic-threshold");
}

void check_renoises(const Sampler& sampler) {
  if (sampler.renoises_unguided) return;
  std::vector<std::string_view> able;
  for (const Sampler& other : samplers()) {
    if (other.renoises_unguided) able.push_back(other.name);
  }
  refuse("--cfg-plus-plus", fmt::format("--sampler {} cannot do it", sampler.name),
         fmt::format("{} can", fmt::join(able, ", ")));
}

std::optional<int64_t> class_for(const ModelDescription& model, const Request& request) {
  if (!model.classifier) {
    const auto refuse_without = [](const char* flag) {
      refuse(flag, "there is no classifier", "give --classifier DIR");
    };
    if (!request.class_label.empty()) refuse_without("--class");
    if (request.classifier_scale) refuse_without("--classifier-scale");
    return std::nullopt;
  }
  const auto& classes = model.classifier->config.classes;
  if (request.class_label.empty()) {
    refuse("--class", "--classifier needs a class to lead to", fmt::format("one of {}", fmt::join(classes, ", ")));
  }
  return find_class(model.classifier->config, request.class_label);
}

}  // namespace

bool CfgInterval::holds(const DenoiserCall& call) const {
  if (!of_steps) return low < call.sigma && call.sigma <= high;
  const auto steps = static_cast<double>(call.steps);
  return static_cast<int64_t>(low * steps) <= call.step && call.step < static_cast<int64_t>(high * steps);
}

CfgInterval parse_cfg_interval(const std::string& text) {
  constexpr const char* flag = "--cfg-interval";
  const auto refuse_text = [&](const char* reason) -> void {
    refuse(flag, fmt::format("'{}' {}", text, reason),
           "LO,HI gives noise levels, as 0.3,5; 40%,80% shares of the steps");
  };
  std::vector<std::string> parts = comma_parts(text);
  if (parts.size() != 2) refuse_text("is not two numbers");
  CfgInterval interval{.of_steps = parts[0].ends_with('%')};
  std::vector<double> numbers;
  for (std::string& part : parts) {
    if (part.ends_with('%') != interval.of_steps) refuse_text("mixes levels and shares");
    if (interval.of_steps) part.pop_back();
    const auto number = parse_real(part);
    if (!number || !(*number >= 0) || std::isnan(*number)) refuse_text("is not two numbers of 0 or more");
    numbers.push_back(interval.of_steps ? *number / 100 : *number);
  }
  interval.low = numbers[0];
  interval.high = numbers[1];
  if (interval.of_steps && interval.high > 1) refuse_text("goes beyond 100%");
  if (!(interval.low < interval.high)) refuse_text("is empty");
  return interval;
}

void check_guidance(const Request& request) {
  if (!request.cfg_interval.empty()) parse_cfg_interval(request.cfg_interval);
  if (request.pag_scale == 0 && request.pag_layers != Request{}.pag_layers) {
    refuse("--pag-layers", "there is no perturbed-attention guidance", "give --pag-scale");
  }
  const auto& factors = request.freeu;
  const auto positive = [](double factor) { return factor > 0 && factor <= largest_factor; };
  if (!factors.empty() && (factors.size() != 4 || !std::ranges::all_of(factors, positive))) {
    refuse("--freeu", fmt::format("must be four numbers above 0, {} at most", largest_factor),
           "B1,B2,S1,S2, as 1.5,1.6,0.9,0.2");
  }
  const auto& threshold = request.dynamic_threshold;
  if (threshold.empty()) return;
  const bool fits = threshold.size() <= 2 && threshold[0] >= 0 && threshold[0] <= largest_factor &&
                    (threshold.size() == 1 || (threshold[1] > 0 && threshold[1] <= 100));
  if (!fits) {
    refuse("--dynamic-threshold", "must be a guidance scale to mimic, and a percentile above 0 and up to 100 if any",
           "MIMIC[,PERCENTILE], as 7,99.5");
  }
  if (request.cfg_scale == 0 || request.cfg_scale == 1) {
    refuse("--dynamic-threshold", fmt::format("at --cfg-scale {} nothing is guided", request.cfg_scale));
  }
}

ResolvedGuidance resolve_guidance(const ModelDescription& model, const Request& request, const Sampler& sampler) {
  ResolvedGuidance guidance{.target_class = class_for(model, request)};
  if (model.task == Task::instruct_pix2pix) check_instructed(model, request);
  if (!request.cfg_interval.empty()) guidance.interval = parse_cfg_interval(request.cfg_interval);
  if (const auto& f = request.freeu; !f.empty()) guidance.freeu = FreeU{.b1 = f[0], .b2 = f[1], .s1 = f[2], .s2 = f[3]};
  if (request.pag_scale != 0) guidance.perturbed = perturbed_layers(model, request);
  if (request.sag_scale != 0) check_self_attention_guidance(model, request);
  if (request.cfg_plus_plus) check_renoises(sampler);
  return guidance;
}

ResolvedGuidance for_refiner(const ResolvedGuidance& guidance) { return {.interval = guidance.interval}; }

}  // namespace sdtorch
