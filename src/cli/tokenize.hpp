// `sdtorch tokenize`: how a model reads a prompt.
#pragma once

#include <filesystem>
#include <istream>
#include <ostream>
#include <string>
#include <vector>

#include "cli/flags.hpp"
#include "sdtorch/request.hpp"

namespace sdtorch {

struct TokenizeOptions {
  std::filesystem::path model{};     ///< a model folder, or its tokenizer's; empty is the built-in model
  std::vector<std::string> texts{};  ///< UTF-8; `-` stands for standard input, a text a line
  bool json = false;                 ///< one JSON object a text instead of a table
  Request rules{};                   ///< prompt_syntax, prompt_chunks, compat, steps, sampler, embedding
  std::string embd_dir{};            ///< of learned words, as ModelChoice's; empty is none
  bool negative = false;             ///< as a negative prompt, which composes nothing
};

/// Writes, for each text, its ids, their pieces and where it is cut into chunks; of a prompt with a grammar also its
/// parts and its versions from call to call, with all weights, and its tags; flushes after each. Warnings go to the
/// log. ids are the text's own, without start, end and padding, at the first call; learned words are found where
/// embd_dir or rules.embedding name any, and a whole model's have to fit it. Returns the exit code, 0. Throws
/// ErrorKind::usage without texts, ErrorKind::model for a tokenizer that cannot be read, ErrorKind::input with line and
/// offset or column for text that is not UTF-8 or has no meaning, and ErrorKind::output where `out` takes no more.
int tokenize_command(const TokenizeOptions& options, std::istream& in, std::ostream& out);

/// The flags write into the options, which must live as long. general: what every command has.
CommandSpec tokenize_spec(TokenizeOptions& options, FlagGroup general);

}  // namespace sdtorch
