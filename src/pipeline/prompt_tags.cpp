#include "pipeline/prompt_tags.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.hpp"
#include "core/number.hpp"

namespace sdtorch {
namespace {

bool tags_are_text(const Request& request) {
  const std::string own = request.compat == "diffusers" ? "plain" : request.compat == "comfy" ? "comfy" : "a1111";
  const std::string syntax = request.prompt_syntax.value_or(own);
  return syntax == "plain" || syntax == "comfy";
}

/// A1111 and stable-diffusion.cpp look for tags in the prompt alone.
bool negative_tags_are_text(const Request& request) {
  return tags_are_text(request) || request.compat == "a1111" || request.compat == "sdcpp";
}

bool has_tags(const std::string& text) { return text.find('<') != std::string::npos; }

TagWeights weights_of_lora(const ExtraNetworkTag& tag) {
  const std::string asked_by = asked_by_tag(tag);
  const std::vector<std::string>& said = tag.arguments;
  if (said.size() > 3) {
    refuse(asked_by, fmt::format("has {} values behind the name", said.size() - 1),
           "one weight for both networks, or the text encoder's and the U-Net's");
  }
  TagWeights weights;
  for (size_t i = 1; i < said.size(); ++i) parse_step_weights(asked_by, said[i]);
  if (said.size() > 1) weights.unet_text = weights.text_encoder_text = said[1];
  if (said.size() > 2) weights.unet_text = said[2];
  for (const auto& [key, value] : tag.named) {
    if (key == "te") {
      weights.text_encoder_text = value;
      // As in A1111, the text encoder's is the U-Net's too, unless that is said.
      const bool own =
          said.size() > 2 || std::ranges::any_of(tag.named, [](const auto& n) { return n.first == "unet"; });
      if (!own) weights.unet_text = value;
    } else if (key == "unet") {
      weights.unet_text = value;
    } else {
      refuse(asked_by, fmt::format("'{}' is not known", key), "te= and unet= are");
    }
  }
  weights.text_encoder = parse_step_weights(asked_by, weights.text_encoder_text);
  weights.unet = parse_step_weights(asked_by, weights.unet_text);
  return weights;
}

TagWeights weights_of_hypernetwork(const ExtraNetworkTag& tag) {
  const std::string asked_by = asked_by_tag(tag);
  if (tag.arguments.size() > 2 || !tag.named.empty()) refuse(asked_by, "a name and a weight were expected");
  if (tag.arguments.size() < 2) return {};
  const auto weight = parse_real(tag.arguments[1]);
  if (!weight) refuse(asked_by, fmt::format("'{}' is no weight", tag.arguments[1]), "a number, as 0.8");
  return {
      .unet = *weight, .text_encoder = *weight, .unet_text = tag.arguments[1], .text_encoder_text = tag.arguments[1]};
}

}  // namespace

std::vector<ExtraNetworkTag> tags_of(const Request& request) {
  if (!has_tags(request.prompt) || tags_are_text(request)) return {};
  return take_extra_networks(request.prompt).tags;
}

TagWeights weights_of_tag(const ExtraNetworkTag& tag) {
  return is_hypernetwork_tag(tag) ? weights_of_hypernetwork(tag) : weights_of_lora(tag);
}

StepWeights parse_step_weights(const std::string& asked_by, const std::string& text) {
  if (const auto weights = StepWeights::parse(text)) return *weights;
  refuse(asked_by, fmt::format("'{}' is no weight", text),
         "a number, or numbers by the shares of the steps that they hold from, as 0.2@0,0.8@0.5");
}

std::string asked_by_tag(const ExtraNetworkTag& tag) { return "--prompt: " + tag.text; }

/// A1111 knows LyCORIS' under a name of its own, too.
bool is_lora_tag(const ExtraNetworkTag& tag) { return tag.kind == "lora" || tag.kind == "lyco"; }

bool is_hypernetwork_tag(const ExtraNetworkTag& tag) { return tag.kind == "hypernet"; }

Request without_tags(Request request) {
  if (tags_are_text(request)) return request;
  if (has_tags(request.prompt)) request.prompt = take_extra_networks(request.prompt).text;
  if (request.negative_prompt && has_tags(*request.negative_prompt) && !negative_tags_are_text(request)) {
    request.negative_prompt = take_extra_networks(*request.negative_prompt).text;
  }
  return request;
}

std::vector<PromptCut> cuts_of(const std::string& written, const std::string& left) {
  if (written == left) return {};
  const PromptWithTags taken = take_extra_networks(written);
  std::vector<PromptCut> cuts;
  for (size_t i = 0; i < taken.tags.size(); ++i) cuts.push_back({.place = taken.places[i], .text = taken.tags[i].text});
  return cuts;
}

std::vector<std::string> warnings_of_tags(const Request& request) {
  std::vector<std::string> lines;
  for (const ExtraNetworkTag& tag : tags_of(request)) {
    if (is_lora_tag(tag) || is_hypernetwork_tag(tag)) continue;
    lines.push_back(
        fmt::format("--prompt: {} is left out: no such kind of tag; --prompt-syntax plain takes it as text", tag.text));
  }
  if (!request.negative_prompt || negative_tags_are_text(request)) return lines;
  for (const ExtraNetworkTag& tag : take_extra_networks(*request.negative_prompt).tags) {
    lines.push_back(fmt::format("--negative-prompt: {} is left out: tags act from the prompt, and on both", tag.text));
  }
  return lines;
}

bool same_tags(const Request& a, const Request& b) { return tags_of(a) == tags_of(b); }

}  // namespace sdtorch
