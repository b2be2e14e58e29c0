// ComfyUI's prompt syntax: `(word)`, `(word:1.3)`, `\(` and `\)`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/prompt/prompt.hpp"
#include "text/prompt/syntax_error.hpp"

namespace sdtorch {

/// A pair of round brackets multiplies the weight around it by 1.1; a number in it replaces that weight. Square
/// brackets, and round ones that do not balance, are text. May be empty.
/// Throws PromptSyntaxError for a weight that is not finite, and where brackets nest too deep.
/// oddities: the brackets that do not balance.
PromptPieces parse_comfy(std::string_view text, std::vector<PromptOddity>& oddities);

}  // namespace sdtorch
