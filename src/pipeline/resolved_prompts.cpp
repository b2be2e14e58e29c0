#include "pipeline/resolved_prompts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "core/error.hpp"
#include "core/suggest.hpp"
#include "pipeline/prompt_tags.hpp"
#include "text/prompt/styles.hpp"

namespace sdtorch {
namespace {

const PromptStyle& find_style(const std::vector<PromptStyle>& styles, const std::string& name) {
  // Of equal names the last counts, as in A1111.
  const auto found = std::ranges::find(styles.rbegin(), styles.rend(), name, &PromptStyle::name);
  if (found != styles.rend()) return *found;
  std::vector<std::string> names;
  for (const PromptStyle& style : styles) names.push_back(style.name);
  refuse("--style", fmt::format("'{}' is not in the table", name),
         names.empty() ? std::string("it has no styles") : did_you_mean(name, names));
}

void check_clip_skip(const ModelDescription& model, const PromptRules& rules, std::vector<std::string>& warnings) {
  if (!rules.clip_skip) return;
  const bool penultimate = takes_penultimate_layer(model);
  if (penultimate && rules.penultimate_skip == PenultimateSkip::ignored) {
    warnings.push_back(fmt::format("--clip-skip changes nothing: A1111 takes {}'s own layer whatever it says",
                                   model.xl ? "SDXL" : "SD2"));
    return;
  }
  const int64_t skipped = skipped_layers(rules, penultimate, /*negative=*/false);
  if (skipped < 0 && !model.xl) {
    refuse("--clip-skip",
           fmt::format("{} is the last layer, which an SD2 model such as {} is read without", *rules.clip_skip,
                       model.name),
           "2 is its own");
  }
  for (const TextEncoderDescription& encoder : model.text_encoders) {
    if (skipped != 0 && std::holds_alternative<XlmRobertaConfig>(encoder.config)) {
      refuse("--clip-skip", fmt::format("{} has no CLIP text encoder", model.name));
    }
    const int64_t layers = layer_count(encoder.config), most = model.xl ? layers - 1 : layers;
    if (skipped > most) {
      refuse("--clip-skip",
             fmt::format("{} is too much for {}, which has {} layers", *rules.clip_skip, encoder.name, layers));
    }
  }
}

/// What cannot be guided by a sum of prompts.
void check_composed(const ModelDescription& model, const Request& request) {
  const auto refuse_it = [](const std::string& reason) -> void {
    refuse("--prompt", "AND and a prompt's own weight do not go with " + reason,
           "--prompt-syntax comfy and plain take the prompt without them");
  };
  if (model.task == Task::instruct_pix2pix) refuse_it(fmt::format("{}, a model for instructions", model.name));
  if (model.unet.time_cond_proj_dim > 0)
    refuse_it(fmt::format("{}, which takes the guidance scale as an input", model.name));
  if (request.pag_scale != 0) refuse_it("--pag-scale");
  if (request.tgate) refuse_it("--tgate");
}

/// A1111's reading of `aspect 16:9`, which may surprise.
void warn_of_own_weight(const PromptReading& reading, std::vector<std::string>& warnings) {
  if (reading.parts.size() > 1 || reading.parts.front().weight == 1) return;
  warnings.push_back(fmt::format(
      "--prompt: the number behind the last colon, {}, is the weight of the whole prompt, as in A1111; end it with a "
      "full stop if it is not",
      reading.parts.front().weight));
}

}  // namespace

bool ResolvedPrompts::composed() const { return prompt.parts.size() > 1 || prompt.parts.front().weight != 1; }

bool takes_penultimate_layer(const ModelDescription& model) {
  return model.xl || model.unet.use_linear_projection;  // which SD1's are without
}

std::vector<std::string> texts_of(const PromptReading& prompt) {
  std::vector<std::string> texts;
  for (const PromptPart& part : prompt.parts) {
    for (const PromptVersion& version : part.versions) {
      for (const PromptBlend& blend : version.joined) {
        for (const PromptPieces& pieces : blend.texts) {
          for (const PromptPiece& piece : pieces) texts.push_back(piece.text);
        }
      }
    }
  }
  return texts;
}

std::vector<std::string> texts_of(const ResolvedPrompts& prompts) {
  std::vector<std::string> texts = texts_of(prompts.prompt);
  std::ranges::move(texts_of(prompts.negative), std::back_inserter(texts));
  return texts;
}

void take_styles(Request& request) {
  if (request.style.empty()) {
    request.styles.clear();
    return;
  }
  const std::vector<PromptStyle> styles = read_styles(request.styles);
  std::string negative = request.negative_prompt.value_or("");
  for (const std::string& name : request.style) {
    const PromptStyle& style = find_style(styles, name);
    request.prompt = with_style(style.prompt, request.prompt);
    negative = with_style(style.negative_prompt, negative);
  }
  if (request.negative_prompt || !negative.empty()) request.negative_prompt = negative;
  request.style.clear();
  request.styles.clear();
}

ResolvedPrompts resolve_prompts(const ModelDescription& model, const Request& request, const PromptCalls& calls,
                                std::vector<std::string>& warnings) {
  ResolvedPrompts prompts{.rules = prompt_rules_of(request)};
  const PromptRules& rules = prompts.rules;
  check_clip_skip(model, rules, warnings);
  PromptReader reader{.syntax = rules.syntax, .editing = rules.scheduled, .composing = rules.scheduled, .calls = calls};
  const auto read = [&](const std::string& own, const std::string& written, const char* flag) {
    reader.cuts = cuts_of(written, own);
    return read_prompt(own, reader, flag);
  };
  const Request bare = without_tags(request);
  prompts.prompt = read(bare.prompt, request.prompt, "--prompt");
  reader.composing = false;  // as in A1111: there AND is a word
  prompts.negative = read(bare.negative_prompt.value_or(""), request.negative_prompt.value_or(""), "--negative-prompt");
  std::ranges::copy(prompts.prompt.warnings, std::back_inserter(warnings));
  std::ranges::copy(prompts.negative.warnings, std::back_inserter(warnings));
  if (prompts.composed() && request.cfg_scale != 0) {
    check_composed(model, request);
    warn_of_own_weight(prompts.prompt, warnings);
  }
  return prompts;
}

}  // namespace sdtorch
