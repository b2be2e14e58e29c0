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
                     std::vector<std::string>& warnings) {
  PromptPart part{.weight = composed.weight};
  if (reader.editing) {
    part.tree = parse_editing(text, composed.first, composed.last, warnings);
  } else {
    part.tree = {{.first = composed.first, .last = composed.last}};
  }
  for (const auto& [last_call, edited] : edited_versions(part.tree, text, reader.calls)) {
    part.versions.push_back({.last_call = last_call, .joined = {{.texts = {parse_attention(edited, text, warnings)}}}});
  }
  return part;
}

PromptReading read_a1111(std::string_view text, const PromptReader& reader) {
  PromptReading reading;
  const std::vector<ComposedPart> parts =
      reader.composing ? split_composition(text) : std::vector<ComposedPart>{{.first = 0, .last = text.size()}};
  for (const ComposedPart& part : parts) reading.parts.push_back(read_part(text, part, reader, reading.warnings));
  return reading;
}

PromptReading read_by_syntax(std::string_view text, const PromptReader& reader) {
  PromptReading reading;
  const int64_t calls = reader.calls.calls;
  switch (reader.syntax) {
    case PromptSyntax::a1111:
      return read_a1111(text, reader);
    case PromptSyntax::comfy:
      reading.parts.push_back(unchanging(parse_comfy(text, reading.warnings), calls));
      return reading;
    case PromptSyntax::compel:
      reading.parts.emplace_back().versions.push_back(
          {.last_call = calls, .joined = parse_compel(text, reading.warnings)});
      reading.pooled_text = text;
      reading.pooled_apart = true;
      return reading;
    case PromptSyntax::plain:
      break;
  }
  reading.parts.push_back(unchanging({{.text = std::string(text)}}, calls));
  return reading;
}

void leave_out_repeated(std::vector<std::string>& lines) {
  std::vector<std::string> once;
  for (std::string& line : lines) {
    if (std::ranges::find(once, line) == once.end()) once.push_back(std::move(line));
  }
  lines = std::move(once);
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
    fail(ErrorKind::input, std::string(flag), fmt::format("offset {}", *offset), "not valid UTF-8");
  }
  try {
    PromptReading reading = read_by_syntax(text, reader);
    leave_out_repeated(reading.warnings);
    for (std::string& line : reading.warnings) line = fmt::format("{}: {}", flag, line);
    return reading;
  } catch (PromptSyntaxError& error) {
    size_t column = column_of(text, error.offset);
    for (const auto& [place, characters] : reader.cuts) column += place <= error.offset ? characters : 0;
    fail(ErrorKind::input, std::string(flag), fmt::format("column {}", column), std::move(error.reason),
         std::move(error.hint));
  }
}

}  // namespace sdtorch
