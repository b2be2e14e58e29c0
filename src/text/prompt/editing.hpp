// A1111's prompt editing: `[from:to:when]`, `[to:when]`, `[from::when]`, `[one|other]`.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/prompt/prompt.hpp"
#include "text/prompt/syntax_error.hpp"

namespace sdtorch {

/// A part of a prompt, and where each of its bytes stands in the whole: for columns.
struct EditedText {
  std::string text{};
  std::vector<size_t> origin{};  ///< one a byte
};

/// The tree of text[first, last). Brackets that do not balance are text, and so is the whole where a `|` stands outside
/// of balanced square brackets or a backslash has nothing behind it to escape (but a line break).
/// Throws PromptSyntaxError where brackets nest too deep. oddities: what makes text of editing.
EditTree parse_editing(std::string_view text, size_t first, size_t last, std::vector<PromptOddity>& oddities);

/// The texts that a tree stands for, each with its last call, in their order. A number with a point is a share of the
/// calls, another a call; fractions of calls are cut off, and what begins at 0 or before holds from the start.
/// text: the whole prompt.
std::vector<std::pair<int64_t, EditedText>> edited_versions(const EditTree& tree, std::string_view text,
                                                            const PromptCalls& calls);

}  // namespace sdtorch
