#include "jobs/prompt_lines.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/utf8.hpp"
#include "jobs/given_flags.hpp"
#include "text/unicode.hpp"

namespace sdtorch {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
constexpr std::string_view ascii_blanks = " \t\r\n\v\f";
constexpr std::string_view flag_characters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
constexpr size_t looked_at = 4096;  // bytes that tell a file's kind

/// What people hand over by mistake, by its first bytes.
struct Kind {
  std::string_view start, name, hint;
};
constexpr std::array<Kind, 12> kinds = {{
    {"\xFF\xFE\0\0"sv, "UTF-32", "save it as UTF-8"},
    {"\0\0\xFE\xFF"sv, "UTF-32", "save it as UTF-8"},
    {"\xFF\xFE"sv, "UTF-16", "save it as UTF-8"},
    {"\xFE\xFF"sv, "UTF-16", "save it as UTF-8"},
    {"\x89PNG"sv, "a picture", "--from-image FILE.png takes a picture's request"},
    {"\xFF\xD8\xFF"sv, "a picture", ""},
    {"GIF8"sv, "a picture", ""},
    {"PK\x03\x04"sv, "a zip archive, as office documents and .ckpt files are", "a list of prompts is plain text"},
    {"\x1F\x8B"sv, "compressed", "unpack it: zcat FILE | sdtorch --from-file -"},
    {"\x28\xB5\x2F\xFD"sv, "compressed", "unpack it: zstdcat FILE | sdtorch --from-file -"},
    {"%PDF-"sv, "a PDF document", "a list of prompts is plain text"},
    {"{\\rtf"sv, "rich text", "save it as plain text"},
}};

/// Text in UTF-16 without a byte-order mark: ASCII characters have a NUL at every other place.
bool alternates_with_nul(std::string_view start) {
  std::array<size_t, 2> nuls{};
  for (size_t i = 0; i < start.size(); ++i) nuls[i % 2] += start[i] == '\0';
  return start.size() >= 4 && std::ranges::min(nuls) == 0 && std::ranges::max(nuls) * 4 > start.size();
}

/// Takes the first line and its end off the front of a text that is not empty.
std::string_view next_line(std::string_view& rest) {
  const size_t end = std::min(rest.find_first_of("\r\n"), rest.size());
  const std::string_view line = rest.substr(0, end);
  const size_t ending = rest.substr(end).starts_with("\r\n") ? 2 : 1;
  rest.remove_prefix(std::min(end + ending, rest.size()));
  return line;
}

std::string_view first_line(std::string_view text) { return next_line(text); }

/// The text from its first line on that is neither blank nor a comment.
std::string_view from_first_line(std::string_view text) {
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view content = without_blanks(next_line(rest));
    if (content.empty() || content.starts_with('#')) continue;
    return text.substr(static_cast<size_t>(content.data() - text.data()));
  }
  return "";
}

bool is_ascii_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// Of flags that prompt files of other tools have, and that are no words of prose.
bool is_flag_word(std::string_view word) {
  constexpr std::string_view words[] = {"steps", "n",    "w",       "h",      "s",        "seed",  "width",   "height",
                                        "ar",    "cfg",  "sampler", "no",     "q",        "v",     "stylize", "l",
                                        "d",     "niji", "scale",   "prompt", "negative", "chaos", "iw",      "neg"};
  return std::ranges::find(words, word) != std::end(words) || word.find('_') != std::string_view::npos ||
         word.starts_with("negative-prompt") || word.starts_with("cfg-scale");
}

std::string_view after_blanks(std::string_view text, size_t start) {
  const size_t first = text.find_first_not_of(ascii_blanks, start);
  return first == std::string_view::npos ? "" : text.substr(first);
}

/// Whether a line is names of flags alone, `prompt` among them, with one delimiter between them.
bool names_columns(std::string_view line) {
  for (const char delimiter : {',', ';', '\t'}) {
    size_t columns = 0;
    bool known = true, has_prompt = false;
    for (size_t start = 0; known && start <= line.size(); ++columns) {
      const size_t end = std::min(line.find(delimiter, start), line.size());
      std::string_view name = without_blanks(line.substr(start, end - start));
      if (name.size() > 2 && name.starts_with('"') && name.ends_with('"')) name = name.substr(1, name.size() - 2);
      known = name.size() > 1 && setting_of_flag(name) != nullptr;
      has_prompt = has_prompt || name == "prompt";
      start = end + 1;
    }
    if (known && has_prompt && columns > 1) return true;
  }
  return false;
}

/// How many bytes of dashes begin a flag at the front of a text, 0 where none does: `--word`, or the same with dashes
/// that typesetting programs put in its place.
size_t dashes_of_flag(std::string_view text) {
  for (const std::string_view dashes : {"--", "\xE2\x80\x94", "\xE2\x80\x93"}) {  // em and en dash
    if (!text.starts_with(dashes) || text.size() == dashes.size() || !is_ascii_letter(text[dashes.size()])) continue;
    const size_t end = std::min(text.find_first_not_of(flag_characters, dashes.size()), text.size());
    const std::string_view word = text.substr(dashes.size(), end - dashes.size());
    // An em dash before a word is prose as well, unless the word is a flag's.
    if (dashes == "--" || is_flag_word(word)) return dashes.size();
  }
  return 0;
}

}  // namespace

void check_is_text(std::string_view text, const std::string& name) {
  for (const Kind& kind : kinds) {
    if (text.starts_with(kind.start)) {
      fail(ErrorKind::input, name, "", fmt::format("is {}", kind.name), std::string(kind.hint));
    }
  }
  const std::string_view start = text.substr(0, looked_at);
  if (text.size() % 2 == 0 && alternates_with_nul(start)) {
    fail(ErrorKind::input, name, "", "is UTF-16", "save it as UTF-8");
  }
  const auto ill_formed = invalid_utf8_offset(start);
  const bool cut_character = start.size() < text.size() && ill_formed && *ill_formed + 4 > start.size();
  if (start.find('\0') != std::string_view::npos && ill_formed && !cut_character) {
    fail(ErrorKind::input, name, "", "is a binary file", "a list of prompts is plain text");
  }
}

void check_is_no_document(std::string_view text, const std::string& name) {
  const std::string_view content = from_first_line(text);
  if (!content.starts_with('[') && !begins_as_object(content)) return;
  const auto refuse_document = [&](const char* what) {
    fail(ErrorKind::input, name, "", fmt::format("is {}; one object a line is expected", what),
         "jq -c writes such lines");
  };
  if (content.starts_with('[') && begins_as_object(after_blanks(content, 1))) refuse_document("a JSON array");
  std::string_view rest = content;
  next_line(rest);
  const bool one_line = from_first_line(rest).empty();
  if (content.starts_with('{') && one_line) return;
  const auto json = nlohmann::json::parse(content, nullptr, false);
  if (json.is_object()) refuse_document("a JSON object over several lines");
  if (json.is_array() && !json.empty() && json.front().is_string()) refuse_document("a JSON array");
}

bool begins_as_object(std::string_view line) {
  if (!line.starts_with('{')) return false;
  const std::string_view inside = after_blanks(line, 1);
  if (inside.starts_with('}')) return without_blanks(first_line(inside.substr(1))).empty();
  if (!inside.starts_with('"') && !inside.starts_with('\'')) return false;  // Python writes the latter
  const size_t end = inside.find_first_of(inside.starts_with('"') ? "\"\r\n" : "'\r\n", 1);
  return end != std::string_view::npos && inside[end] == inside.front() &&
         after_blanks(inside, end + 1).starts_with(':');
}

PromptFormat format_by_content(std::string_view text) {
  const std::string_view content = from_first_line(text);
  if (begins_as_object(content)) return PromptFormat::jsonl;
  return names_columns(first_line(content)) ? PromptFormat::csv : PromptFormat::txt;
}

std::vector<std::string_view> split_lines(std::string_view text) {
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  std::vector<std::string_view> lines;
  while (!text.empty()) lines.push_back(next_line(text));
  return lines;
}

std::string_view without_blanks(std::string_view line) {
  const size_t formed = invalid_utf8_offset(line).value_or(line.size());
  size_t first = line.size(), last = line.size();
  for (size_t at = 0, after = 0; at < formed; at = after) {
    if (is_blank(next_code_point(line, after))) continue;
    first = std::min(first, at);
    last = after;
  }
  if (formed < line.size()) return line.substr(std::min(first, formed));
  return line.substr(first, last - first);
}

bool is_blank(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= '\t' && c <= '\r');
  const bool without_width = (c >= 0x200B && c <= 0x200D) || c == 0x2060 || c == 0xFEFF || c == 0x180E;
  return without_width || char_class(c) == CharClass::space;
}

bool begins_with_blank(std::string_view text) {
  const Utf8Character first = first_character(text);
  return first.bytes != 0 && is_blank(first.code);
}

bool begins_flag(std::string_view text) { return dashes_of_flag(text) != 0; }

std::vector<std::string_view> flags_in(std::string_view line) {
  std::vector<std::string_view> flags;
  bool behind_blank = true;
  for (size_t at = 0, after = 0; at < line.size(); at = after) {
    const size_t dashes = behind_blank ? dashes_of_flag(line.substr(at)) : 0;
    const char32_t c = next_code_point(line, after);
    behind_blank = is_blank(c) || c == ',';
    if (dashes == 0) continue;
    const size_t end = line.find_first_not_of(flag_characters, at + dashes);
    flags.push_back(line.substr(at, end == std::string_view::npos ? end : end - at));
  }
  return flags;
}

void refuse_table(std::string_view text, const std::string& name) {
  const std::string_view line = first_line(from_first_line(text));
  const auto begins_as = [&](std::string_view start) { return line.starts_with(start); };
  const bool is_table =
      std::ranges::any_of(std::to_array({"prompt,", "prompt\t", "prompt;", "\"prompt\","}), begins_as);
  if (!is_table && !begins_as("- prompt:") && !begins_as("prompt:")) return;
  fail(ErrorKind::input, name, "", "is a table or a list of settings, not one prompt a line",
       is_table ? "give --from-file-format csv, or txt if it is prompts all the same"
                : "write JSON lines, such as {\"prompt\": \"a cat\", \"steps\": 5}, or give --from-file-format txt");
}

}  // namespace sdtorch
