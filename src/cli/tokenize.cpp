#include "cli/tokenize.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "cli/tokenized_prompt.hpp"
#include "core/error.hpp"
#include "core/log.hpp"
#include "core/paths.hpp"
#include "core/suggest.hpp"
#include "diffusion/sampler.hpp"
#include "pipeline/embeddings.hpp"
#include "pipeline/model_description.hpp"
#include "pipeline/prompt_rules.hpp"
#include "pipeline/prompt_tags.hpp"
#include "pipeline/resolved_prompts.hpp"
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

/// A model's learned words; of a tokenizer alone such of any width.
std::shared_ptr<EmbeddingStore> store_of(const TokenizeOptions& options, const Tokenizer& tokenizer) {
  const std::filesystem::path model = find_model(options.model);
  if (!is_folder(model) || is_there(model / "model_index.json")) {
    return embedding_store(describe_model(model.string(), ""), options.embd_dir);
  }
  const EmbeddingStore::Encoder alone{.tokenizer = tokenizer, .place = {}, .vocabulary = tokenizer.vocab_size()};
  return std::make_shared<EmbeddingStore>(model.filename().string(), std::vector{alone}, options.embd_dir);
}

/// Texts by a tokenizer and the rules that it is told.
class PromptTokenizer {
 public:
  PromptTokenizer(const TokenizeOptions& options, const Tokenizer& tokenizer)
      : options_(options), tokenizer_(tokenizer), rules_(prompt_rules_of(options.rules)) {
    reader_ = {.syntax = rules_.syntax,
               .editing = rules_.scheduled,
               .composing = rules_.scheduled && !options.negative,
               .calls = {.calls = calls_of(options.rules)}};
    if (options.embd_dir.empty() && options.rules.embedding.empty()) return;
    store_ = store_of(options, tokenizer);
    words_ = store_->words_of(options.rules, {});
  }

  /// file: what to call the text's source.
  TokenizedPrompt read(const std::string& text, const std::string& file, std::string& left) {
    Request tagged = options_.rules;
    (options_.negative ? tagged.negative_prompt.emplace() : tagged.prompt) = text;
    const Request bare = without_tags(tagged);
    left = options_.negative ? *bare.negative_prompt : bare.prompt;
    reader_.cuts = cuts_of(text, left);
    PromptReading reading = read_prompt(left, reader_, file);
    PromptTokenization how{.tokenizer = tokenizer_, .source = source(), .rule = rules_.chunks};
    for (const std::string& line : warnings_of_tags(tagged)) reading.warnings.push_back(line);
    for (ExtraNetworkTag& tag : tags_of(tagged)) {
      if (is_lora_tag(tag) || is_hypernetwork_tag(tag)) how.tags.push_back(std::move(tag));
    }
    if (words_) {
      const std::vector<std::string> texts = texts_of(reading);
      words_->check(texts, reading.warnings);
      how.moved = words_->moved_vectors(0);
      for (const PromptEmbeddings::Named& word : words_->named(0, texts)) {
        how.words.push_back({.name = word.name, .file = word.file, .first = word.ids.first, .count = word.ids.count});
      }
    }
    return {std::move(reading), std::move(how)};
  }

 private:
  TokenSource source() const {
    if (!words_) return {.encode = [this](std::string_view text) { return tokenizer_.encode(text); }};
    return {.encode = [this](std::string_view text) { return words_->encode(0, std::string(text)); },
            .goes_on = [this](int64_t id) { return words_->goes_on(0, id); }};
  }

  const TokenizeOptions& options_;
  const Tokenizer& tokenizer_;
  PromptRules rules_;
  PromptReader reader_{};
  std::shared_ptr<EmbeddingStore> store_{};
  std::shared_ptr<const PromptEmbeddings> words_{};
};

}  // namespace

int tokenize_command(const TokenizeOptions& options, std::istream& in, std::ostream& out) {
  if (options.texts.empty())
    throw Error(ErrorKind::usage, {.file = "tokenize", .reason = "no text", .hint = "`-` reads standard input"});
  const TokenizerPlace place = find_tokenizer(options.model);
  const Tokenizer tokenizer = load_tokenizer(
      place.folder,
      {.pad_token = place.pad_token, .lower_case = place.lower_case, .model_max_length = place.model_max_length});

  check_prompt_rules(options.rules);
  PromptTokenizer tokenize(options, tokenizer);

  // file: what to call the text's source; line: its line there, or empty.
  const auto print = [&](const std::string& text, const std::string& file, const std::string& line) {
    std::string left;
    std::optional<TokenizedPrompt> prompt;
    try {
      prompt.emplace(tokenize.read(text, file, left));
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::input) throw;
      ErrorParts parts = error.parts();
      parts.file = file;
      if (!line.empty()) parts.place = line + ", " + parts.place;
      throw Error(error.kind(), std::move(parts));
    }
    for (const std::string& warning : prompt->reading().warnings) log_warning(warning);
    out << (options.json ? prompt->json_line(left) : prompt->table(left)) << std::flush;
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
