#include "jobs/picture_facts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/utf8.hpp"

namespace sdtorch {
namespace {

constexpr size_t most_text_bytes = 4000;  // bytes of another program's text
constexpr std::string_view negative_mark = "Negative prompt: ";
constexpr std::string_view settings_mark = "Steps: ";

/// Where the value at `start` of a line of settings ends: at its closing quote, or before the next comma.
size_t entry_end(std::string_view line, size_t start) {
  if (start < line.size() && line[start] == '"') {
    for (size_t i = start + 1; i < line.size(); ++i) {
      if (line[i] == '\\') {
        ++i;
      } else if (line[i] == '"') {
        return i + 1;
      }
    }
  }
  return std::min(line.find(", ", start), line.size());
}

/// `Steps: 20, Sampler: Euler, Note: "a, b"`.
void add_entries(PictureFacts& facts, std::string_view line) {
  while (!line.empty()) {
    const size_t colon = line.find(": ");
    if (colon == std::string_view::npos) break;
    const size_t end = entry_end(line, colon + 2);
    std::string value(line.substr(colon + 2, end - colon - 2));
    if (value.starts_with('"')) {
      const nlohmann::json text = nlohmann::json::parse(value, nullptr, false);
      if (text.is_string()) value = text.get<std::string>();
    }
    facts.parameters.emplace_back(line.substr(0, colon), std::move(value));
    const size_t next = line.find(", ", end);
    line = next == std::string_view::npos ? "" : line.substr(next + 2);
  }
}

/// The negative prompt of a picture that we made: its infotext alone does not tell where that begins.
std::optional<std::string> own_negative_prompt(std::span<const PngText> texts) {
  const auto ours = std::ranges::find(texts, "sdtorch", &PngText::keyword);
  if (ours == texts.end()) return std::nullopt;
  const nlohmann::json request = nlohmann::json::parse(ours->text, nullptr, false);
  if (!request.is_object() || !request.contains("prompt")) return std::nullopt;
  const auto negative = request.find("negative-prompt");
  return negative != request.end() && negative->is_string() ? negative->get<std::string>() : "";
}

/// The line of settings is the last one that begins as such; before it the prompts. negative_prompt: where it is known.
void read_infotext(PictureFacts& facts, std::string_view text, const std::optional<std::string>& negative_prompt) {
  size_t settings = text.starts_with(settings_mark) ? 0 : std::string_view::npos;
  const size_t last = text.rfind("\n" + std::string(settings_mark));
  if (last != std::string_view::npos) settings = last + 1;
  std::string_view prompts = text.substr(0, settings == std::string_view::npos ? text.size() : settings);
  const std::string known = fmt::format("\n{}{}\n", negative_mark, negative_prompt.value_or(""));
  const bool stands = !negative_prompt.value_or("").empty() && prompts.ends_with(known);
  const size_t known_at = stands ? prompts.size() - known.size() : std::string_view::npos;
  while (!prompts.empty() && prompts.back() == '\n') prompts.remove_suffix(1);
  size_t negative = prompts.starts_with(negative_mark) ? 0 : prompts.find("\n" + std::string(negative_mark));
  if (negative_prompt && (negative_prompt->empty() || known_at != std::string_view::npos)) negative = known_at;
  if (negative == std::string_view::npos) {
    facts.prompt = prompts;
  } else {
    facts.prompt = prompts.substr(0, negative);
    facts.negative_prompt = prompts.substr(negative + (negative > 0 || prompts.front() == '\n') + negative_mark.size());
  }
  if (settings == std::string_view::npos) return;
  const std::string_view rest = text.substr(settings);
  add_entries(facts, rest.substr(0, rest.find('\n')));
}

}  // namespace

PictureFacts picture_facts(std::span<const PngText> texts) {
  PictureFacts facts;
  const auto infotext = std::ranges::find(texts, "parameters", &PngText::keyword);
  if (infotext != texts.end() && !infotext->text.starts_with('{')) {
    read_infotext(facts, infotext->text, own_negative_prompt(texts));
    return facts;
  }
  for (const PngText& text : texts) facts.parameters.emplace_back(text.keyword, shortened(text.text, most_text_bytes));
  return facts;
}

}  // namespace sdtorch
