// A1111's emphasis: `(word)`, `[word]`, `(word:1.3)`, escapes, `BREAK`.
#pragma once

#include <string>
#include <vector>

#include "text/prompt/editing.hpp"
#include "text/prompt/prompt.hpp"
#include "text/prompt/syntax_error.hpp"

namespace sdtorch {

/// `(` … `)` multiplies weights by 1.1 and `[` … `]` divides them, also where the closing bracket is missing; `:1.3)`
/// multiplies by its number; a backslash before a bracket or another backslash makes that text. A closing bracket
/// without its opening one is text. `BREAK` begins a chunk, unless brackets have changed its weight, which is -1: then
/// it is the word, of that weight. Neighbours of equal weight are one piece; there is at least one.
/// Throws PromptSyntaxError for a weight that is no number, and where brackets nest too deep.
/// oddities: the brackets that do not balance.
PromptPieces parse_attention(const EditedText& edited, std::vector<PromptOddity>& oddities);

}  // namespace sdtorch
