#include "cli/tokenize.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <utility>

#include "cli/tokenized_prompt.hpp"
#include "core/error.hpp"
#include "core/log.hpp"
#include "core/paths.hpp"
#include "core/suggest.hpp"
#include "diffusion/sampler.hpp"
#include "pipeline/prompt_rules.hpp"
#include "pipeline/prompt_tags.hpp"
#include "pipeline/settings.hpp"
#include "text/load_tokenizer.hpp"
#include "weights/model_folder.hpp"
#include "weights/model_path.hpp"
#include "weights/model_source.hpp"
#include "weights/pipeline_kind.hpp"

namespace sdtorch {
namespace {

/// A model's tokenizer, or the one whose files lie in the folder itself. No other part of a model's folder is needed.
TokenizerPlace find_tokenizer(const std::filesystem::path& chosen) {
  const std::filesystem::path model = find_model(chosen);
  if (!is_folder(model)) return open_model(model)->tokenizer("tokenizer");
  for (const char* name : {"tokenizer", "tokenizer_2"}) {  // an SDXL refiner has the second alone
    if (!is_folder(model / name)) continue;
    const std::filesystem::path index = model / "model_index.json";
    const auto pipeline = is_there(index) ? find_pipeline_kind(load_config(index)) : std::nullopt;
    return pipeline ? tokenizer_place(*pipeline, model / name) : TokenizerPlace{.folder = model / name};
  }
  if (holds_tokenizer(model)) return {.folder = model};
  throw Error(ErrorKind::model, {.file = model,
                                 .reason = "no tokenizer: neither a folder `tokenizer` nor tokenizer.json, "
                                           "vocab.json and merges.txt, sentencepiece.bpe.model or spiece.model"});
}

/// Network calls of all steps, as a sampler's schedules count them.
int64_t calls_of(const Request& rules) {
  if (!rules.sampler) return rules.steps;
  const Sampler* sampler = find_sampler(*rules.sampler);
  if (!sampler) {
    refuse("--sampler", fmt::format("no sampler '{}'", *rules.sampler), did_you_mean(*rules.sampler, sampler_names()));
  }
  return rules.steps * sampler->calls_per_step;
}

}  // namespace

int tokenize_command(const TokenizeOptions& options, std::istream& in, std::ostream& out) {
  if (options.texts.empty())
    throw Error(ErrorKind::usage, {.file = "tokenize", .reason = "no text", .hint = "`-` reads standard input"});
  const TokenizerPlace place = find_tokenizer(options.model);
  const Tokenizer tokenizer = load_tokenizer(
      place.folder,
      {.pad_token = place.pad_token, .lower_case = place.lower_case, .model_max_length = place.model_max_length});

  check_prompt_rules(options.rules);
  const PromptRules rules = prompt_rules_of(options.rules);
  const PromptReader reader{.syntax = rules.syntax,
                            .editing = rules.scheduled,
                            .composing = rules.scheduled && !options.negative,
                            .calls = {.calls = calls_of(options.rules)}};

  // file: what to call the text's source; line: its line there, or empty.
  const auto print = [&](const std::string& text, const std::string& file, const std::string& line) {
    Request tagged = options.rules;
    tagged.prompt = text;
    const std::string read = without_tags(tagged).prompt;
    std::optional<TokenizedPrompt> prompt;
    try {
      prompt.emplace(read_prompt(read, reader, file), tokenizer, rules.chunks);
    } catch (const Error& error) {
      ErrorParts parts = error.parts();
      parts.file = file;
      if (!line.empty()) parts.place = line + ", " + parts.place;
      throw Error(error.kind(), std::move(parts));
    }
    for (const std::string& warning : prompt->reading().warnings) log_warning(warning);
    out << (options.json ? prompt->json_line(read) : prompt->table(read)) << std::flush;
    if (!out) throw Error(ErrorKind::output, {.file = "<stdout>", .reason = "cannot be written"});
  };

  for (size_t i = 0; i < options.texts.size(); ++i) {
    if (options.texts[i] != "-") {
      print(options.texts[i], options.texts.size() == 1 ? "TEXT" : fmt::format("TEXT {}", i + 1), "");
      continue;
    }
    std::string text;
    for (size_t number = 1; std::getline(in, text); ++number) {
      if (text.ends_with('\r')) text.pop_back();
      print(text, "<stdin>", fmt::format("line {}", number));
    }
    if (in.bad()) throw Error(ErrorKind::input, {.file = "<stdin>", .reason = "cannot be read"});
  }
  return 0;
}

}  // namespace sdtorch
