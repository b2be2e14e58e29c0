#include "text/prompt/compel_syntax.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <utility>

#include "text/prompt/characters.hpp"
#include "text/prompt/compel_grammar.hpp"
#include "text/prompt/editing.hpp"
#include "text/prompt/syntax_error.hpp"

namespace sdtorch {
namespace {

/// compel's own first step: a space behind each comma that has none, and where the bytes come from.
EditedText spaced(std::string_view text) {
  EditedText out;
  const auto add = [&](char c, size_t at) {
    out.text += c;
    out.origin.push_back(at);
  };
  for (size_t at = 0; at < text.size();) {
    add(text[at], at);
    if (text[at++] != ',' || at == text.size() || after_spaces(text, at) != at) continue;
    add(' ', at);
    add(text[at], at);  // which, being a comma itself, gets no space
    ++at;
  }
  out.origin.push_back(text.size());
  return out;
}

std::string unescaped(std::string text) {
  for (const std::string_view escape : {"\\(", "\\)", "\\\""}) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
      if (std::string_view(text).substr(i, 2) == escape) ++i;
      out += text[i];
    }
    text = std::move(out);
  }
  return text;
}

void refuse_node(const CompelNode& node) {
  if (node.kind == CompelNode::Kind::swap) {
    throw PromptSyntaxError{.offset = node.at,
                            .reason = ".swap() is not supported: compel itself draws the first of the two",
                            .hint = "write that alone"};
  }
  if (node.kind == CompelNode::Kind::lora) {
    throw PromptSyntaxError{
        .offset = node.at, .reason = "LoRAs in compel's syntax are not supported", .hint = "give --lora FILE:W"};
  }
}

void flatten(const CompelNodes& nodes, double scale, PromptPieces& pieces) {
  for (const CompelNode& node : nodes) {
    refuse_node(node);
    if (node.kind == CompelNode::Kind::weighted) {
      flatten(node.children, scale * node.weight, pieces);
      continue;
    }
    if (!(std::abs(scale) <= std::numeric_limits<float>::max())) {
      throw PromptSyntaxError{.offset = node.at, .reason = "its weight is not finite"};
    }
    pieces.push_back({.text = unescaped(unescaped(node.text)), .weight = scale});
  }
}

PromptPieces fused(const CompelNodes& nodes) {
  PromptPieces pieces, fused;
  flatten(nodes, 1, pieces);
  for (PromptPiece& piece : pieces) {
    if (!fused.empty() && fused.back().weight == piece.weight) {
      fused.back().text = unescaped(fused.back().text + ' ' + piece.text);
    } else {
      fused.push_back(std::move(piece));
    }
  }
  return fused;
}

double option_number(const std::string& option, const CompelOperation& operation) {
  const double value = is_prompt_number(option) ? prompt_number(option) : std::numeric_limits<double>::infinity();
  if (std::abs(value) <= std::numeric_limits<float>::max()) return value;
  throw PromptSyntaxError{.offset = operation.at,
                          .reason = fmt::format("'{}' is no weight for {}()", option, operation.name)};
}

std::vector<double> option_weights(const std::vector<std::string>& options, const CompelOperation& operation) {
  std::vector<double> weights;
  for (const std::string& option : options) weights.push_back(option_number(option, operation));
  if (weights.empty()) weights.assign(operation.targets.size(), 1);
  if (weights.size() != operation.targets.size()) {
    throw PromptSyntaxError{.offset = operation.at,
                            .reason = fmt::format("{}() has {} weights for {} prompts", operation.name, weights.size(),
                                                  operation.targets.size())};
  }
  return weights;
}

PromptBlend blend_of(const CompelOperation& operation) {
  std::vector<std::string> options = operation.options;
  PromptBlend blend{.normalized = options.empty() || options.back() != "no_normalize"};
  if (!blend.normalized) options.pop_back();
  blend.weights = option_weights(options, operation);
  double sum = 0;
  for (size_t i = 0; i < operation.targets.size(); ++i) {
    sum += blend.weights[i];
    blend.texts.push_back(fused(operation.targets[i]));
    if (blend.texts.back().empty()) {
      throw PromptSyntaxError{
          .offset = operation.at, .reason = "one of the prompts to blend is empty", .hint = "write \"\""};
    }
  }
  if (blend.normalized && sum == 0) {
    throw PromptSyntaxError{
        .offset = operation.at, .reason = "the weights of .blend() add up to 0", .hint = "say no_normalize"};
  }
  return blend;
}

std::vector<PromptBlend> conjunction_of(const CompelOperation& operation) {
  const std::vector<double> weights = option_weights(operation.options, operation);
  std::vector<PromptBlend> joined;
  for (size_t i = 0; i < operation.targets.size(); ++i) {
    PromptPieces pieces = fused(operation.targets[i]);
    if (!pieces.empty()) joined.push_back({.texts = {std::move(pieces)}, .strength = weights[i]});
  }
  return joined;
}

std::vector<PromptBlend> read_compel(std::string_view text, const EditedText& source,
                                     std::vector<PromptOddity>& oddities) {
  const CompelGrammar grammar(text);
  if (const auto conjunction = grammar.operation(/*blend=*/false)) {
    if (const size_t rest = grammar.skip(conjunction->end); rest < text.size()) {
      oddities.push_back({.offset = source.origin[rest],
                          .text = fmt::format("compel leaves out what stands behind {}()", conjunction->name)});
    }
    return conjunction_of(*conjunction);
  }
  if (const auto blend = grammar.operation(/*blend=*/true)) {
    if (const size_t rest = grammar.skip(blend->end); rest < text.size()) {
      throw PromptSyntaxError{.offset = rest, .reason = "nothing may stand behind .blend()"};
    }
    return {blend_of(*blend)};
  }
  const auto nodes = grammar.prompt();
  if (!nodes) throw PromptSyntaxError{.reason = "holds a vertical tab or a form feed"};
  PromptPieces pieces = fused(*nodes);
  if (pieces.empty()) return {};
  return {{.texts = {std::move(pieces)}}};
}

}  // namespace

std::vector<PromptBlend> parse_compel(std::string_view text, std::vector<PromptOddity>& oddities) {
  const EditedText source = spaced(text);
  try {
    std::vector<PromptBlend> joined = read_compel(source.text, source, oddities);
    if (joined.empty()) joined.push_back({.texts = {{PromptPiece{}}}});
    return joined;
  } catch (PromptSyntaxError& error) {
    error.offset = source.origin.at(error.offset);
    throw;
  }
}

}  // namespace sdtorch
