#include "text/prompt/compel_grammar.hpp"

#include <algorithm>
#include <cmath>

#include "text/prompt/characters.hpp"
#include "text/prompt/syntax_error.hpp"

namespace sdtorch {
namespace {

constexpr std::string_view blanks = " \t\n\r";
constexpr std::string_view white_space = " \t\n\r\v\f";
constexpr std::string_view symbols = "()\",.+-=";

bool is_in(std::string_view set, char c) { return set.find(c) != std::string_view::npos; }
bool is_number_digit(char c) { return c >= '0' && c <= '9'; }

/// What a quotation holds: its escaped quotation marks and white space as such.
std::string unquoted(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '\\' && i + 1 < text.size() && is_in("\"tnfr", text[i + 1]);
    if (!escape) {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    out += c == '"' ? '"' : c == 't' ? '\t' : c == 'n' ? '\n' : c == 'f' ? '\f' : '\r';
  }
  return out;
}

std::string with_escaped_quotes(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '"') out += '\\';
    out += c;
  }
  return out;
}

/// The closing mark of the quotation that opens at `at`. An escaped mark closes it where no other does.
std::optional<size_t> closing_mark(std::string_view text, size_t at) {
  std::optional<size_t> escaped;
  for (size_t i = at + 1; i < text.size() && text[i] != '\n' && text[i] != '\r'; ++i) {
    if (text[i] == '"') return i;
    if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == '"') escaped = ++i;
  }
  return escaped;
}

}  // namespace

size_t CompelGrammar::skip(size_t at) const {
  while (at < text_.size() && is_in(blanks, text_[at])) ++at;
  return at;
}

std::optional<size_t> CompelGrammar::literal(size_t at, std::string_view what) const {
  at = skip(at);
  if (!text_.substr(at).starts_with(what)) return std::nullopt;
  return at + what.size();
}

/// Behind the word that begins here; `at` where none does.
size_t CompelGrammar::word_end(size_t at) const {
  while (at < text_.size()) {
    const char c = text_[at];
    const bool last = at + 1 == text_.size();
    if (c == '\\' && !last && is_in(symbols, text_[at + 1])) {
      at += 2;
    } else if (c == '+' || c == '-') {
      if (last || is_in(blanks, text_[at + 1]) || is_in(symbols, text_[at + 1])) return at;
      ++at;
    } else if (is_in(symbols, c) || is_in(white_space, c)) {
      return at;
    } else {
      ++at;
    }
  }
  return at;
}

CompelGrammar::Matched CompelGrammar::word(size_t at) const {
  at = skip(at);
  const size_t end = word_end(at);
  if (end == at) return nullptr;
  return std::make_shared<Match>(
      Match{.nodes = {{.text = std::string(text_.substr(at, end - at)), .at = base_ + at}}, .end = end});
}

CompelGrammar::Matched CompelGrammar::quoted(size_t at, bool as_prompt) const {
  at = skip(at);
  if (at >= text_.size() || text_[at] != '"') return nullptr;
  if (as_prompt) return parsed_quotation(at, true);
  const auto known = quotations_.find(at);
  if (known != quotations_.end()) return known->second;
  return quotations_[at] = parsed_quotation(at, false);
}

CompelGrammar::Matched CompelGrammar::parsed_quotation(size_t at, bool as_prompt) const {
  const auto close = closing_mark(text_, at);
  if (!close) return nullptr;
  if (depth_ >= deepest_nesting) throw PromptSyntaxError{.offset = base_ + at, .reason = "quotations nest too deep"};
  Match match{.end = *close + 1};
  const std::string inner = unquoted(text_.substr(at + 1, *close - at - 1));
  if (after_spaces(inner, 0) == inner.size()) {
    match.nodes.push_back({.at = base_ + at});
    return std::make_shared<Match>(std::move(match));
  }
  const std::string escaped = with_escaped_quotes(inner);
  const CompelGrammar grammar(escaped, base_ + at, depth_ + 1);
  if (as_prompt) {
    auto nodes = grammar.prompt();
    if (!nodes) return nullptr;
    match.nodes = std::move(*nodes);
  } else {
    const Matched all = grammar.fragments(0, true);
    if (grammar.skip(all->end) != escaped.size()) return nullptr;
    match.nodes = all->nodes;
  }
  for (CompelNode& node : match.nodes) node.at = base_ + at;
  return std::make_shared<Match>(std::move(match));
}

CompelGrammar::Matched CompelGrammar::parenthesized(size_t at) const {
  const auto open = literal(at, "(");
  if (!open) return nullptr;
  const auto known = brackets_.find(*open);
  if (known != brackets_.end()) return known->second;
  const Matched inner = fragments(*open, true);
  const auto close = literal(inner->end, ")");
  return brackets_[*open] = close ? std::make_shared<Match>(Match{.nodes = inner->nodes, .end = *close}) : nullptr;
}

CompelGrammar::Matched CompelGrammar::target(size_t at) const {
  if (auto found = quoted(at, false)) return found;
  if (auto found = parenthesized(at)) return found;
  return word(at);
}

CompelGrammar::Matched CompelGrammar::fragment(size_t at) const {
  for (const auto rule :
       {&CompelGrammar::lora, &CompelGrammar::attention, &CompelGrammar::swap, &CompelGrammar::parenthesized}) {
    if (auto found = (this->*rule)(at)) return found;
  }
  if (auto found = quoted(at, false)) return found;
  return word(at);
}

/// Always matches, if only nothing.
CompelGrammar::Matched CompelGrammar::fragments(size_t at, bool commas) const {
  Match match{.end = at};
  while (true) {
    Matched next = fragment(match.end);
    if (!next && commas) {
      const size_t sign = skip(match.end);
      if (sign < text_.size() && (text_[sign] == ',' || text_[sign] == '.')) {
        next = std::make_shared<Match>(
            Match{.nodes = {{.text = std::string(1, text_[sign]), .at = base_ + sign}}, .end = sign + 1});
      }
    }
    if (!next) return std::make_shared<Match>(std::move(match));
    match.nodes.insert(match.nodes.end(), next->nodes.begin(), next->nodes.end());
    match.end = next->end;
  }
}

/// Behind `1.5`, `-1.5`, `-1`; `at` where no number is.
size_t CompelGrammar::number_end(size_t at) const {
  const auto digits = [&](size_t from) {
    while (from < text_.size() && is_number_digit(text_[from])) ++from;
    return from;
  };
  const bool sign = at < text_.size() && (text_[at] == '-' || text_[at] == '+');
  const size_t first = at + (sign ? 1 : 0), whole = digits(first);
  if (whole < text_.size() && text_[whole] == '.') {
    const size_t end = digits(whole + 1);
    if (end > whole + 1 || whole > first) return end;
  }
  return whole > first && !(sign && text_[at] == '+') ? whole : at;
}

std::optional<std::pair<double, size_t>> CompelGrammar::weight(size_t at, bool numbers) const {
  constexpr double plus_base = 1.1, minus_base = 0.9;
  at = skip(at);
  if (at >= text_.size()) return std::nullopt;
  const char c = text_[at];
  if (c == '+' || c == '-') {
    const size_t end = std::min(text_.find_first_not_of(c, at), text_.size());
    return std::pair(std::pow(c == '+' ? plus_base : minus_base, static_cast<double>(end - at)), end);
  }
  const size_t end = numbers ? number_end(at) : at;
  if (end == at) return std::nullopt;
  return std::pair(prompt_number(text_.substr(at, end - at)), end);
}

CompelGrammar::Matched CompelGrammar::weighted(const Matched& target, size_t from, bool numbers,
                                               bool explicit_form) const {
  const auto said = weight(from, numbers);
  if (!said) return nullptr;
  auto end = std::optional(said->second);
  if (explicit_form) end = literal(*end, ")");
  if (!end) return nullptr;
  return std::make_shared<Match>(Match{
      .nodes =
          {{.kind = CompelNode::Kind::weighted, .weight = said->first, .children = target->nodes, .at = base_ + from}},
      .end = *end});
}

CompelGrammar::Matched CompelGrammar::attention(size_t at) const {
  const auto blank_at = [&](size_t i) { return i < text_.size() && is_in(blanks, text_[i]); };
  if (const Matched of = target(at)) {
    if (const auto dot = literal(of->end, ".attend")) {
      if (const auto open = literal(*dot, "(")) {
        if (auto found = weighted(of, *open, true, true)) return found;
      }
    }
  }
  Matched phrase = quoted(at, false);
  if (!phrase) phrase = parenthesized(at);
  if (phrase && !blank_at(phrase->end)) {
    if (auto found = weighted(phrase, phrase->end, true, false)) return found;
  }
  const Matched one = word(at);
  return one && !blank_at(one->end) ? weighted(one, one->end, false, false) : nullptr;
}

CompelGrammar::Matched CompelGrammar::swap(size_t at) const {
  const Matched of = target(at);
  const auto dot = of ? literal(of->end, ".swap") : std::nullopt;
  const auto open = dot ? literal(*dot, "(") : std::nullopt;
  if (!open) return nullptr;
  size_t end = fragments(*open, false)->end;
  if (const auto comma = literal(end, ",")) end = options(*comma).second;
  const auto close = literal(end, ")");
  if (!close) return nullptr;
  return std::make_shared<Match>(
      Match{.nodes = {{.kind = CompelNode::Kind::swap, .at = base_ + skip(of->end)}}, .end = *close});
}

CompelGrammar::Matched CompelGrammar::lora(size_t at) const {
  const size_t begin = skip(at);
  auto name = literal(begin, "useLora");
  if (!name) name = literal(begin, "withLora");
  const auto open = name ? literal(*name, "(") : std::nullopt;
  if (!open) return nullptr;
  const size_t first = skip(*open);
  size_t end = keyword_end(first);
  if (end == first) return nullptr;
  if (const auto comma = literal(end, ",")) {
    const size_t number = skip(*comma), behind = number_end(number);
    if (behind > number) end = behind;
  }
  const auto close = literal(end, ")");
  if (!close) return nullptr;
  return std::make_shared<Match>(
      Match{.nodes = {{.kind = CompelNode::Kind::lora, .at = base_ + begin}}, .end = *close});
}

size_t CompelGrammar::keyword_end(size_t at) const {
  const auto part = [](char c) {
    return is_number_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
  };
  while (at < text_.size() && part(text_[at])) ++at;
  return at;
}

/// `0.5, 1`, `no_normalize`, `key=value`, in any number.
std::pair<std::vector<std::string>, size_t> CompelGrammar::options(size_t at) const {
  std::vector<std::string> said;
  size_t end = at;
  while (true) {
    const size_t first = skip(at);
    size_t behind = keyword_end(first);
    size_t name_end = behind;
    const auto equals = behind > first ? literal(behind, "=") : std::nullopt;
    size_t value_end = 0;
    if (equals) {
      const size_t value = skip(*equals);
      value_end = number_end(value);
      if (value_end == value) value_end = keyword_end(value);
      if (value_end == value) value_end = 0;
    }
    if (value_end > 0) {
      behind = value_end;
    } else if (const size_t number = number_end(first); number > first) {
      behind = name_end = number;
    }
    if (behind == first) return {said, end};
    said.emplace_back(text_.substr(first, name_end - first));
    end = behind;
    const auto comma = literal(end, ",");
    if (!comma) return {said, end};
    at = *comma;
  }
}

std::optional<CompelOperation> CompelGrammar::operation(bool blend) const {
  const auto open = literal(0, "(");
  if (!open) return std::nullopt;
  CompelOperation found;
  size_t at = *open;
  while (true) {
    Matched one = target(at);
    if (!one) one = quoted(at, true);
    if (!one) break;
    found.targets.push_back(one->nodes);
    at = one->end;
    const auto comma = literal(at, ",");
    if (!comma) break;
    at = *comma;
  }
  // A comma with nothing behind it is not the list's, so that no bracket closes here.
  const auto close = found.targets.empty() ? std::nullopt : literal(at, ")");
  if (!close) return std::nullopt;
  found.at = base_ + skip(*close);
  for (const char* name : {".blend", ".and", ".add"}) {
    if ((std::string_view(name) == ".blend") != blend) continue;
    const auto dot = literal(*close, name);
    const auto bracket = dot ? literal(*dot, "(") : std::nullopt;
    if (!bracket) continue;
    auto [options, end] = this->options(*bracket);
    const auto last = literal(end, ")");
    if (!last) continue;
    found.name = name;
    found.options = std::move(options);
    found.end = *last;
    return found;
  }
  return std::nullopt;
}

std::optional<CompelNodes> CompelGrammar::prompt() const {
  CompelNodes nodes;
  for (size_t at = skip(0); at < text_.size(); at = skip(at)) {
    Matched next;
    for (const auto rule : {&CompelGrammar::swap, &CompelGrammar::lora, &CompelGrammar::attention}) {
      if (!next) next = (this->*rule)(at);
    }
    if (!next) next = quoted(at, false);
    if (!next) next = parenthesized(at);
    if (!next) {
      const size_t end = std::min(text_.find_first_of(white_space, at), text_.size());
      if (end == at) return std::nullopt;
      next = std::make_shared<Match>(
          Match{.nodes = {{.text = std::string(text_.substr(at, end - at)), .at = base_ + at}}, .end = end});
    }
    nodes.insert(nodes.end(), next->nodes.begin(), next->nodes.end());
    at = next->end;
  }
  return nodes;
}

}  // namespace sdtorch
