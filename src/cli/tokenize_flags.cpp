// The flags of `sdtorch tokenize`.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <optional>

#include "cli/tokenize.hpp"
#include "core/error.hpp"
#include "core/number.hpp"
#include "pipeline/prompt_rules.hpp"

namespace sdtorch {
namespace {

using Apply = decltype(Flag::apply);

std::string filled_text(const std::string& flag, const std::string& text) {
  if (text.empty()) refuse(flag, "is empty");
  return text;
}

Apply to_name(std::optional<std::string>& value) {
  return [&value](const std::string& flag, const std::string& text) { value = filled_text(flag, text); };
}

Apply to_list(std::vector<std::string>& values) {
  return [&values](const std::string& flag, const std::string& text) { values.push_back(filled_text(flag, text)); };
}

Apply to_steps(int64_t& steps) {
  return [&steps](const std::string& flag, const std::string& text) {
    constexpr uint64_t most_steps = 100'000;
    const auto number = parse_unsigned(text);
    if (!number || *number == 0 || *number > most_steps) {
      refuse(flag, fmt::format("'{}' is not a whole number of 1…{}", text, most_steps));
    }
    steps = static_cast<int64_t>(*number);
  };
}

Apply to_true(bool& value) {
  return [&value](const std::string&, const std::string&) { value = true; };
}

}  // namespace

CommandSpec tokenize_spec(TokenizeOptions& t, FlagGroup general) {
  return {"sdtorch tokenize [FLAGS] TEXT…",
          "Prints what a prompt's grammar says, and the ids, pieces and chunks that the model's text encoder sees.",
          {{"Arguments",
            {{"TEXT", "", "texts; - reads lines from standard input; put -- before one that starts with -",
              [&t](const std::string&, const std::string& text) { t.texts.push_back(text); }, true}}},
           {"Model",
            {{"-m, --model, --ckpt", "PATH", "a model, or its tokenizer's folder; default: the built-in model",
              [&t](const std::string& flag, const std::string& text) { t.model = filled_text(flag, text); }},
             {"--embedding", "FILE[=TOKEN]", "a learned word that texts may have; repeatable",
              to_list(t.rules.embedding), true},
             {"--embd-dir", "DIR", "a folder of learned words: each is called as its file",
              [&t](const std::string& flag, const std::string& text) { t.embd_dir = filled_text(flag, text); }}}},
           {"Grammar",
            {{"--prompt-syntax", "NAME", fmt::format("{} (a1111)", fmt::join(prompt_syntax_names, ", ")),
              to_name(t.rules.prompt_syntax)},
             {"--prompt-chunks", "NAME", fmt::format("{} (plain)", fmt::join(prompt_chunks_names, ", ")),
              to_name(t.rules.prompt_chunks)},
             {"--compat", "NAME", "a1111, comfy, diffusers, sdcpp: whose rules both are", to_name(t.rules.compat)},
             {"--steps", "N", "what [from:to:when] and [one|other] are spread over (20)", to_steps(t.rules.steps)},
             {"--sampler", "NAME", "one that takes two calls a step counts twice", to_name(t.rules.sampler)},
             {"--negative", "", "as a negative prompt, in which AND is a word", to_true(t.negative)}}},
           {"Output",
            {{"--json", "", "one object a text: ids, pieces, chunks, and what its grammar says; ids are the text's own",
              to_true(t.json)}}},
           std::move(general)},
          ""};
}

}  // namespace sdtorch
