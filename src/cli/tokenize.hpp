// `sdtorch tokenize`: how a model reads a prompt.
#pragma once

#include <filesystem>
#include <istream>
#include <ostream>
#include <string>
#include <vector>

namespace sdtorch {

struct TokenizeOptions {
  std::filesystem::path model{};     ///< a model folder, or its tokenizer's; empty is the built-in model
  std::vector<std::string> texts{};  ///< UTF-8; `-` stands for standard input, a text a line
  bool json = false;                 ///< one JSON object a text instead of a table
};

/// Writes, for each text, its ids, their pieces and where it is cut into chunks; flushes after each.
/// ids are the text's own, without start, end and padding. Returns the exit code, 0.
/// Throws ErrorKind::usage without texts, ErrorKind::model for a tokenizer that cannot be read, ErrorKind::input with
/// line and offset for text that is not UTF-8 and ErrorKind::output where `out` takes no more.
int tokenize_command(const TokenizeOptions& options, std::istream& in, std::ostream& out);

}  // namespace sdtorch
