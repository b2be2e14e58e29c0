// The grammar behind compel_syntax.hpp, by ordered choice as pyparsing reads it.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sdtorch {

struct CompelNode {
  enum class Kind { text, weighted, swap, lora };

  Kind kind = Kind::text;
  std::string text{};                  ///< text's, as it is written
  double weight = 1;                   ///< weighted: of its children
  std::vector<CompelNode> children{};  ///< weighted
  size_t at = 0;                       ///< its byte
};
using CompelNodes = std::vector<CompelNode>;

/// `("one", "other").blend(…)` and its kin.
struct CompelOperation {
  std::string name{};  ///< ".blend", ".and", ".add"
  std::vector<CompelNodes> targets{};
  std::vector<std::string> options{};  ///< as they are written; of `key=value` the key
  size_t at = 0, end = 0;
};

/// Matches rules at a place: each skips blanks before what it looks for, and gives nothing where that is not there.
class CompelGrammar {
 public:
  /// base: where the text stands in the prompt; depth: of quotations in quotations.
  explicit CompelGrammar(std::string_view text, size_t base = 0, int64_t depth = 0)
      : text_(text), base_(base), depth_(depth) {}

  /// Throws PromptSyntaxError where brackets nest too deep.
  std::optional<CompelOperation> operation(bool blend) const;

  /// The whole text as a prompt; nothing where it has blanks that the grammar does not know.
  std::optional<CompelNodes> prompt() const;

  size_t skip(size_t at) const;

 private:
  struct Match {
    CompelNodes nodes{};
    size_t end = 0;
  };
  using Matched = std::shared_ptr<const Match>;  // nullptr: none

  std::optional<size_t> literal(size_t at, std::string_view what) const;
  size_t word_end(size_t at) const;
  Matched word(size_t at) const;
  Matched quoted(size_t at, bool as_prompt) const;
  Matched parsed_quotation(size_t at, bool as_prompt) const;
  Matched parenthesized(size_t at) const;
  Matched target(size_t at) const;
  Matched fragments(size_t at, bool commas) const;
  Matched fragment(size_t at) const;
  Matched attention(size_t at) const;
  Matched weighted(const Matched& target, size_t from, bool numbers, bool explicit_form) const;
  Matched swap(size_t at) const;
  Matched lora(size_t at) const;
  std::optional<std::pair<double, size_t>> weight(size_t at, bool numbers) const;
  size_t number_end(size_t at) const;
  size_t keyword_end(size_t at) const;
  std::pair<std::vector<std::string>, size_t> options(size_t at) const;

  std::string_view text_;
  size_t base_;
  int64_t depth_;
  mutable std::map<size_t, Matched> brackets_{}, quotations_{};  ///< what was matched before
};

}  // namespace sdtorch
