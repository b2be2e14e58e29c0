#include "text/prompt/attention.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include "text/prompt/characters.hpp"
#include "text/prompt/syntax_error.hpp"

namespace sdtorch {
namespace {

constexpr double round_factor = 1.1;
constexpr double square_factor = 1 / 1.1;
constexpr std::string_view break_word = "BREAK";
constexpr double break_weight = -1;

/// A bracket that is still open.
struct OpenBracket {
  size_t first_piece = 0;  ///< of those that it weighs
  size_t at = 0;           ///< its byte in the edited text
};

class AttentionParser {
 public:
  AttentionParser(const EditedText& edited, std::vector<PromptOddity>& oddities)
      : text_(edited.text), origin_(edited.origin), oddities_(oddities) {}

  PromptPieces parse() {
    for (size_t at = 0; at < text_.size();) at = step(at);
    for (const auto& [first, open] : round_) weigh(first, round_factor), warn(open, "is not closed");
    for (const auto& [first, open] : square_) weigh(first, square_factor), warn(open, "is not closed");
    return merged();
  }

 private:
  /// Reads what stands at a byte; gives the byte behind it.
  size_t step(size_t at) {
    const char c = text_[at];
    if (c == '\\') return escape(at);
    if (c == '(' || c == '[') return open(at, c == '(' ? round_ : square_);
    if (c == ':') return colon(at);
    if (c == ')') return close(at, round_, round_factor);
    if (c == ']') return close(at, square_, square_factor);
    const size_t end = std::min(text_.find_first_of("\\()[]:", at), text_.size());
    add_text(text_.substr(at, end - at));
    return end;
  }

  /// A backslash before anything else vanishes.
  size_t escape(size_t at) {
    const bool escapes = at + 1 < text_.size() && std::string_view("\\()[]").find(text_[at + 1]) != std::string::npos;
    pieces_.push_back({.text = escapes ? std::string(1, text_[at + 1]) : std::string()});
    return at + (escapes ? 2 : 1);
  }

  size_t open(size_t at, std::vector<OpenBracket>& brackets) {
    if (std::ssize(round_) + std::ssize(square_) >= deepest_nesting) {
      throw PromptSyntaxError{.offset = origin_[at], .reason = "brackets nest too deep"};
    }
    brackets.push_back({.first_piece = pieces_.size(), .at = at});
    return at + 1;
  }

  /// `:1.3)`, or a colon.
  size_t colon(size_t at) {
    const size_t first = after_spaces(text_, at + 1);
    size_t last = first;
    if (last < text_.size() && (text_[last] == '+' || text_[last] == '-')) ++last;
    const size_t digits = last;
    while (last < text_.size() && (text_[last] == '.' || (text_[last] >= '0' && text_[last] <= '9'))) ++last;
    const size_t end = after_spaces(text_, last);
    if (last == digits || end == text_.size() || text_[end] != ')') {
      add_text(":");
      return at + 1;
    }
    if (round_.empty()) {
      add_text(text_.substr(at, end + 1 - at));
      warn(end, "closes nothing");
    } else {
      weigh(pop(round_), weight(text_.substr(first, last - first), first));
    }
    return end + 1;
  }

  double weight(std::string_view number, size_t at) const {
    const auto refuse_it = [&](const char* reason) -> void {
      throw PromptSyntaxError{.offset = origin_[at],
                              .reason = fmt::format("the weight '{}' {}", number, reason),
                              .hint = "write (word:1.3), or \\( and \\) for brackets that are text"};
    };
    if (!is_prompt_number(number, /*exponent=*/false)) refuse_it("is no number");
    const double value = prompt_number(number);
    if (!(std::abs(value) <= std::numeric_limits<float>::max())) refuse_it("is too large");
    return value;
  }

  size_t close(size_t at, std::vector<OpenBracket>& brackets, double factor) {
    if (brackets.empty()) {
      add_text(text_.substr(at, 1));
      warn(at, "closes nothing");
    } else {
      weigh(pop(brackets), factor);
    }
    return at + 1;
  }

  static size_t pop(std::vector<OpenBracket>& brackets) {
    const size_t first = brackets.back().first_piece;
    brackets.pop_back();
    return first;
  }

  void weigh(size_t first, double factor) {
    for (size_t i = first; i < pieces_.size(); ++i) pieces_[i].weight *= factor;
  }

  /// A run of text, cut at each BREAK.
  void add_text(std::string_view text) {
    size_t from = 0;
    for (auto at = find_prompt_word(text, break_word, from); at; at = find_prompt_word(text, break_word, from)) {
      pieces_.push_back({.text = std::string(text.substr(from, before_spaces(text, *at, from) - from))});
      pieces_.push_back({.text = std::string(break_word), .weight = break_weight});
      from = after_spaces(text, *at + break_word.size());
    }
    pieces_.push_back({.text = std::string(text.substr(from))});
  }

  PromptPieces merged() {
    PromptPieces merged;
    for (const PromptPiece& piece : pieces_) {
      if (!merged.empty() && merged.back().weight == piece.weight) {
        merged.back().text += piece.text;
      } else {
        merged.push_back(piece);
      }
    }
    if (merged.empty()) merged.emplace_back();
    for (PromptPiece& piece : merged) {
      piece.new_chunk = piece.text == break_word && piece.weight == break_weight;
      if (piece.text == break_word && !piece.new_chunk) {
        oddities_.push_back(
            {.text = "BREAK in brackets is a word, as A1111 has it; outside of them it begins a chunk"});
      }
      if (!std::isfinite(piece.weight) || std::abs(piece.weight) > std::numeric_limits<float>::max()) {
        throw PromptSyntaxError{.reason = fmt::format("the weight of '{}' is too large", piece.text)};
      }
    }
    return merged;
  }

  void warn(size_t at, std::string_view what) {
    const char* escaped = text_[at] == '(' || text_[at] == ')' ? "a round" : "a square";
    oddities_.push_back(
        {.offset = origin_[at],
         .text = fmt::format("'{}' {}; say \\{} for {} bracket that is text", text_[at], what, text_[at], escaped)});
  }

  std::string_view text_;
  const std::vector<size_t>& origin_;
  std::vector<PromptOddity>& oddities_;
  PromptPieces pieces_{};
  std::vector<OpenBracket> round_{}, square_{};
};

}  // namespace

PromptPieces parse_attention(const EditedText& edited, std::vector<PromptOddity>& oddities) {
  return AttentionParser(edited, oddities).parse();
}

}  // namespace sdtorch
