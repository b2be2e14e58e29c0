#include "pipeline/prompt_tags.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace sdtorch {
namespace {

/// Kinds that mean something here. A1111 knows LyCORIS' under a name of its own, too.
constexpr std::array<std::string_view, 3> known_kinds = {"lora", "lyco", "hypernet"};

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

}  // namespace

std::vector<ExtraNetworkTag> tags_of(const Request& request) {
  if (!has_tags(request.prompt) || tags_are_text(request)) return {};
  return take_extra_networks(request.prompt).tags;
}

Request without_tags(Request request) {
  if (tags_are_text(request)) return request;
  if (has_tags(request.prompt)) request.prompt = take_extra_networks(request.prompt).text;
  if (request.negative_prompt && has_tags(*request.negative_prompt) && !negative_tags_are_text(request)) {
    request.negative_prompt = take_extra_networks(*request.negative_prompt).text;
  }
  return request;
}

std::vector<std::string> warnings_of_tags(const Request& request) {
  std::vector<std::string> lines;
  for (const ExtraNetworkTag& tag : tags_of(request)) {
    if (std::ranges::find(known_kinds, tag.kind) != known_kinds.end()) continue;
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
