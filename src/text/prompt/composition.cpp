#include "text/prompt/composition.hpp"

#include <cmath>
#include <limits>
#include <string>

#include "text/prompt/characters.hpp"
#include "text/prompt/syntax_error.hpp"

namespace sdtorch {
namespace {

ComposedPart part_of(std::string_view text, size_t first, size_t last) {
  ComposedPart part{.first = first, .last = before_spaces(text, last, first)};
  const std::string_view said = text.substr(first, part.last - first);
  const size_t colon = said.rfind(':');
  if (colon == std::string_view::npos) return part;
  const std::string_view number = said.substr(after_spaces(said, colon + 1));
  if (!is_prompt_number(number, /*exponent=*/false)) return part;
  part.weight = prompt_number(number);
  if (!(std::abs(part.weight) <= std::numeric_limits<float>::max())) {
    throw PromptSyntaxError{.offset = part.last - number.size(),
                            .reason = "the weight '" + std::string(number) + "' is too large"};
  }
  part.last = before_spaces(text, first + colon, first);
  return part;
}

}  // namespace

std::vector<ComposedPart> split_composition(std::string_view text) {
  constexpr std::string_view word = "AND";
  std::vector<ComposedPart> parts;
  size_t from = 0;
  for (auto at = find_prompt_word(text, word, 0); at; at = find_prompt_word(text, word, from)) {
    parts.push_back(part_of(text, from, *at));
    from = *at + word.size();
  }
  parts.push_back(part_of(text, from, text.size()));
  return parts;
}

}  // namespace sdtorch
