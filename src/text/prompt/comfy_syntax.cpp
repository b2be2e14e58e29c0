#include "text/prompt/comfy_syntax.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "text/prompt/characters.hpp"
#include "text/prompt/syntax_error.hpp"

namespace sdtorch {
namespace {

/// Bytes of the prompt.
struct Slice {
  size_t first = 0, last = 0;
};

class ComfyParser {
 public:
  ComfyParser(std::string_view text, std::vector<PromptOddity>& oddities)
      : text_(text), oddities_(oddities), escaped_(text.size(), false) {
    for (size_t at = 0; at + 1 < text.size(); ++at) {
      if (text[at] == '\\' && (text[at + 1] == '(' || text[at + 1] == ')')) escaped_[++at] = true;
    }
  }

  PromptPieces parse() {
    weigh({.first = 0, .last = text_.size()}, 1, 0);
    return std::move(pieces_);
  }

 private:
  bool is(size_t at, char c) const { return text_[at] == c && !escaped_[at]; }

  /// Text and bracketed text in their order. Behind a closing bracket too many the rest is text, as it is there.
  std::vector<Slice> items(Slice of) const {
    std::vector<Slice> found;
    Slice item{.first = of.first, .last = of.first};
    int64_t depth = 0;
    const auto finish = [&](size_t at) {
      if (at > item.first) found.push_back({.first = item.first, .last = at});
      item.first = at;
    };
    for (size_t at = of.first; at < of.last; ++at) {
      if (is(at, '(') && depth++ == 0) finish(at);
      if (is(at, ')') && --depth == 0) finish(at + 1);
    }
    finish(of.last);
    return found;
  }

  void weigh(Slice slice, double weight, int64_t depth) {
    for (const Slice& item : items(slice)) {
      const bool bracketed = item.last - item.first >= 2 && is(item.first, '(') && is(item.last - 1, ')');
      if (!bracketed) {
        add(item, weight);
        continue;
      }
      if (depth >= deepest_nesting) throw PromptSyntaxError{.offset = item.first, .reason = "brackets nest too deep"};
      Slice inner{.first = item.first + 1, .last = item.last - 1};
      double own = weight * 1.1;
      const size_t colon = text_.substr(0, inner.last).rfind(':');
      if (colon != std::string_view::npos && colon > inner.first) {
        const size_t begin = std::min(after_spaces(text_, colon + 1), inner.last);
        const std::string number =
            without_underscores(text_.substr(begin, before_spaces(text_, inner.last, begin) - begin));
        if (is_python_number(number)) {
          own = finite(number, begin);
          inner.last = colon;
        }
      }
      weigh(inner, own, depth + 1);
    }
  }

  /// Python takes an underscore between two digits.
  static std::string without_underscores(std::string_view number) {
    std::string digits;
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    for (size_t i = 0; i < number.size(); ++i) {
      const bool between = i > 0 && i + 1 < number.size() && digit(number[i - 1]) && digit(number[i + 1]);
      if (number[i] != '_' || !between) digits += number[i];
    }
    return digits;
  }

  static bool is_infinite_name(std::string_view number) {
    if (number.starts_with('+') || number.starts_with('-')) number.remove_prefix(1);
    std::string lower(number);
    std::ranges::transform(lower, lower.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return lower == "inf" || lower == "infinity" || lower == "nan";
  }

  static bool is_python_number(std::string_view number) { return is_prompt_number(number) || is_infinite_name(number); }

  static double finite(std::string_view number, size_t at) {
    const double value = is_infinite_name(number) ? std::numeric_limits<double>::infinity() : prompt_number(number);
    if (std::abs(value) <= std::numeric_limits<float>::max()) return value;
    throw PromptSyntaxError{.offset = at, .reason = fmt::format("the weight '{}' is not finite", number)};
  }

  void add(Slice item, double weight) {
    PromptPiece piece{.weight = weight};
    for (size_t at = item.first; at < item.last; ++at) {
      if (text_[at] == '\\' && at + 1 < item.last && escaped_[at + 1]) continue;
      if (is(at, '(') || is(at, ')')) warn(at);
      piece.text += text_[at];
    }
    if (std::abs(weight) > std::numeric_limits<float>::max()) {
      throw PromptSyntaxError{.offset = item.first, .reason = "the weight is not finite"};
    }
    pieces_.push_back(std::move(piece));
  }

  void warn(size_t at) {
    oddities_.push_back(
        {.offset = at,
         .text = fmt::format("'{}' has no partner and is text; say \\{} for that", text_[at], text_[at])});
  }

  std::string_view text_;
  std::vector<PromptOddity>& oddities_;
  std::vector<bool> escaped_;
  PromptPieces pieces_{};
};

}  // namespace

PromptPieces parse_comfy(std::string_view text, std::vector<PromptOddity>& oddities) {
  return ComfyParser(text, oddities).parse();
}

}  // namespace sdtorch
