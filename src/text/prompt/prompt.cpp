#include "text/prompt/prompt.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/error.hpp"
#include "core/utf8.hpp"
#include "text/prompt/attention.hpp"
#include "text/prompt/comfy_syntax.hpp"
#include "text/prompt/compel_syntax.hpp"
#include "text/prompt/composition.hpp"
#include "text/prompt/editing.hpp"
#include "text/prompt/syntax_error.hpp"

namespace sdtorch {
namespace {

/// A prompt that is one text at all calls.
PromptPart unchanging(PromptPieces pieces, int64_t calls) {
  if (pieces.empty()) pieces.emplace_back();
  PromptPart part;
  part.versions.push_back({.last_call = calls, .joined = {{.texts = {std::move(pieces)}}}});
  return part;
}

PromptPart read_part(std::string_view text, const ComposedPart& composed, const PromptReader& reader,
                     std::vector<PromptOddity>& oddities) {
  PromptPart part{.weight = composed.weight};
  if (reader.editing) {
    part.tree = parse_editing(text, composed.first, composed.last, oddities);
  } else {
    part.tree = {{.first = composed.first, .last = composed.last}};
  }
  for (const auto& [last_call, edited] : edited_versions(part.tree, text, reader.calls)) {
    part.versions.push_back({.last_call = last_call, .joined = {{.texts = {parse_attention(edited, oddities)}}}});
  }
  return part;
}

PromptReading read_a1111(std::string_view text, const PromptReader& reader, std::vector<PromptOddity>& oddities) {
  PromptReading reading;
  const std::vector<ComposedPart> parts =
      reader.composing ? split_composition(text) : std::vector<ComposedPart>{{.first = 0, .last = text.size()}};
  for (const ComposedPart& part : parts) reading.parts.push_back(read_part(text, part, reader, oddities));
  return reading;
}

PromptReading read_by_syntax(std::string_view text, const PromptReader& reader, std::vector<PromptOddity>& oddities) {
  PromptReading reading;
  const int64_t calls = reader.calls.calls;
  switch (reader.syntax) {
    case PromptSyntax::a1111:
      return read_a1111(text, reader, oddities);
    case PromptSyntax::comfy:
      reading.parts.push_back(unchanging(parse_comfy(text, oddities), calls));
      return reading;
    case PromptSyntax::compel:
      reading.parts.emplace_back().versions.push_back({.last_call = calls, .joined = parse_compel(text, oddities)});
      reading.pooled_text = text;
      reading.pooled_apart = true;
      return reading;
    case PromptSyntax::plain:
      break;
  }
  reading.parts.push_back(unchanging({{.text = std::string(text)}}, calls));
  return reading;
}

/// An offset of what is left, as it was in the whole prompt.
size_t offset_in_whole(size_t offset, const std::vector<PromptCut>& cuts) {
  size_t whole = offset;
  for (const PromptCut& cut : cuts) whole += cut.place <= offset ? cut.text.size() : 0;
  return whole;
}

/// A column of what is left, as it was in the whole prompt.
size_t column_in_whole(std::string_view text, size_t offset, const std::vector<PromptCut>& cuts) {
  size_t column = column_of(text, offset);
  for (const PromptCut& cut : cuts) column += cut.place <= offset ? column_of(cut.text, cut.text.size()) - 1 : 0;
  return column;
}

std::vector<std::string> warnings_of(const std::vector<PromptOddity>& oddities, std::string_view text,
                                     const std::vector<PromptCut>& cuts, std::string_view flag) {
  std::vector<std::string> lines;
  for (const PromptOddity& oddity : oddities) {
    std::string line = fmt::format("{}: ", flag);
    if (oddity.offset) line += fmt::format("column {}: ", column_in_whole(text, *oddity.offset, cuts));
    line += oddity.text;
    if (std::ranges::find(lines, line) == lines.end()) lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace

const PromptVersion& PromptPart::at_call(int64_t call) const {
  const auto found =
      std::ranges::find_if(versions, [&](const PromptVersion& version) { return call <= version.last_call; });
  return found == versions.end() ? versions.front() : *found;
}

size_t column_of(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, offset);
  return 1 + static_cast<size_t>(
                 std::ranges::count_if(before, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

PromptReading read_prompt(std::string_view text, const PromptReader& reader, std::string_view flag) {
  if (const auto offset = invalid_utf8_offset(text)) {
    fail(ErrorKind::input, std::string(flag), fmt::format("offset {}", offset_in_whole(*offset, reader.cuts)),
         "not valid UTF-8");
  }
  try {
    std::vector<PromptOddity> oddities;
    PromptReading reading = read_by_syntax(text, reader, oddities);
    reading.warnings = warnings_of(oddities, text, reader.cuts, flag);
    return reading;
  } catch (PromptSyntaxError& error) {
    fail(ErrorKind::input, std::string(flag),
         fmt::format("column {}", column_in_whole(text, error.offset, reader.cuts)), std::move(error.reason),
         std::move(error.hint));
  }
}

}  // namespace sdtorch
