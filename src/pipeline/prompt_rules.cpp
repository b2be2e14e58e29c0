#include "pipeline/prompt_rules.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/suggest.hpp"

namespace sdtorch {
namespace {

// In the order of the names.
constexpr std::array syntaxes{PromptSyntax::a1111, PromptSyntax::comfy, PromptSyntax::compel, PromptSyntax::plain};
constexpr std::array weightings{PromptWeighting::a1111, PromptWeighting::comfy, PromptWeighting::compel,
                                PromptWeighting::none};
constexpr std::array chunk_rules{ChunkRule::a1111, ChunkRule::comfy, ChunkRule::compel, ChunkRule::plain};

template <typename Value, size_t count>
Value value_of(const std::array<std::string_view, count>& names, const std::array<Value, count>& values,
               const std::string& name) {
  return values.at(static_cast<size_t>(std::ranges::find(names, name) - names.begin()));
}

PromptRules rules_of_compat(std::string_view tool) {
  if (tool == "a1111") {
    return {.chunks = ChunkRule::a1111, .penultimate_skip = PenultimateSkip::ignored, .sides_apart = true};
  }
  if (tool == "comfy") {
    return {.syntax = PromptSyntax::comfy,
            .weighting = PromptWeighting::comfy,
            .chunks = ChunkRule::comfy,
            .penultimate_skip = PenultimateSkip::counted,
            .sides_apart = true};
  }
  if (tool == "diffusers") {
    return {.syntax = PromptSyntax::plain, .weighting = PromptWeighting::none, .negative_skips = false};
  }
  if (tool == "sdcpp") return {.scheduled = false, .penultimate_skip = PenultimateSkip::counted, .sides_apart = true};
  return {};
}

/// Who writes in a syntax means its weights, where no tool is named that has others.
PromptWeighting weighting_of(PromptSyntax syntax) {
  switch (syntax) {
    case PromptSyntax::a1111:
      return PromptWeighting::a1111;
    case PromptSyntax::comfy:
      return PromptWeighting::comfy;
    case PromptSyntax::compel:
      return PromptWeighting::compel;
    case PromptSyntax::plain:
      break;
  }
  return PromptWeighting::none;
}

}  // namespace

PromptRules prompt_rules_of(const Request& request) {
  PromptRules rules = rules_of_compat(request.compat.value_or(""));
  if (request.prompt_syntax) {
    rules.syntax = value_of(prompt_syntax_names, syntaxes, *request.prompt_syntax);
    rules.scheduled = true;
    if (!request.compat || request.compat == "diffusers") {
      rules.weighting = weighting_of(rules.syntax);
      if (rules.syntax == PromptSyntax::compel) {
        rules.chunks = ChunkRule::compel;
        rules.negative_skips = true;  // embeddings that compel makes know no side
      }
    }
  }
  if (request.prompt_weighting) {
    rules.weighting = value_of(prompt_weighting_names, weightings, *request.prompt_weighting);
  }
  if (request.prompt_chunks) rules.chunks = value_of(prompt_chunks_names, chunk_rules, *request.prompt_chunks);
  rules.clip_skip = request.clip_skip;
  return rules;
}

int64_t skipped_layers(const PromptRules& rules, bool penultimate, bool negative) {
  if (!rules.clip_skip || (negative && !rules.negative_skips)) return 0;
  constexpr int64_t own = 2;
  if (!penultimate || rules.penultimate_skip == PenultimateSkip::further) return *rules.clip_skip - 1;
  return rules.penultimate_skip == PenultimateSkip::counted ? *rules.clip_skip - own : 0;
}

void check_prompt_rules(const Request& request) {
  const auto check = [](const char* flag, const std::optional<std::string>& value, const auto& names) {
    if (value) check_choice(flag, *value, {names.begin(), names.end()});
  };
  check("--prompt-syntax", request.prompt_syntax, prompt_syntax_names);
  check("--prompt-weighting", request.prompt_weighting, prompt_weighting_names);
  check("--prompt-chunks", request.prompt_chunks, prompt_chunks_names);
  if (!request.style.empty() && request.styles.empty()) {
    refuse("--style", "there is no table of styles", "give --styles FILE");
  }
}

}  // namespace sdtorch
