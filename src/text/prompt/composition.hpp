// A1111's `AND`: several prompts in one, each with a weight behind a colon at its end.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace sdtorch {

struct ComposedPart {
  size_t first = 0, last = 0;  ///< of the prompt's bytes, without its weight and the white space before and after that
  double weight = 1;
};

/// At least one. Brackets are not looked at, and a prompt without AND may have a weight too, as A1111 has it.
/// Throws PromptSyntaxError for a weight that is too large.
std::vector<ComposedPart> split_composition(std::string_view text);

}  // namespace sdtorch
