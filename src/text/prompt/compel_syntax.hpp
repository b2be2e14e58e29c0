// compel's prompt syntax: `word++`, `(a phrase)1.3`, `("one", "other").blend(0.7, 0.3)`, `("one", "other").and()`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/prompt/prompt.hpp"
#include "text/prompt/syntax_error.hpp"

namespace sdtorch {

/// As compel 2 reads it: what does not fit its grammar is text, nested weights multiply, words of equal weight are
/// joined by a space, and a comma is followed by one. Conjunctions are joined one behind the other; empty ones are
/// left out.
/// Throws PromptSyntaxError for what it refuses too (text behind a blend, numbers that do not fit), and for `.swap` and
/// LoRAs by name. oddities: what it leaves out.
std::vector<PromptBlend> parse_compel(std::string_view text, std::vector<PromptOddity>& oddities);

}  // namespace sdtorch
