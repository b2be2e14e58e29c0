// A line of a text prompt file: a prompt, and our own flags behind it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "jobs/given_flags.hpp"
#include "pipeline/settings.hpp"

namespace sdtorch {

/// What a line says.
struct FlaggedLine {
  std::string_view prompt{};       ///< the text before the flags, without blanks at its ends, as it stands there
  std::vector<GivenFlag> flags{};  ///< in their order; they say the prompt where none stands before them
  size_t text_column = 0;          ///< of a word in the prompt that looks like a flag with one dash; 0: none
  std::string text_flag{};         ///< that word
};

/// Reads `a cat --steps 5 -W 512 -n "blurry, dark"`. What stands before the flags is the prompt, quotes and all. Flags
/// are those that a line may have, in every spelling of the command line's (`--cfg 5`, `--cfg=5`, `-s 7`, `-s7`), their
/// values words as a shell splits them.
///
/// Two dashes before a letter, at the line's start or behind a blank, always begin a flag, and all that follows is
/// flags. One dash begins flags only where everything from there on is flags with values that they take: the ` -n
/// blurry` that ends a line is a flag, the one in `a cat -n blurry, dark` is text, and said.
///
/// Throws LineError for a flag that is unknown, given twice, without a value or of the whole run, for a word between
/// flags, and for a line without a prompt. All columns are those of `line`, in characters from 1. base: what the values
/// are tried on.
FlaggedLine read_flagged_line(std::string_view line, const Settings& base);

}  // namespace sdtorch
