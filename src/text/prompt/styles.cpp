#include "text/prompt/styles.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "core/error.hpp"
#include "core/utf8.hpp"
#include "io/mapped_file.hpp"
#include "text/prompt/characters.hpp"

namespace sdtorch {
namespace {

/// One line of a table, which may go over several of the file.
struct CsvRow {
  size_t line = 0;  ///< 1-based, of its begin
  std::vector<std::string> fields{};
};

class CsvReader {
 public:
  CsvReader(std::string_view text, const std::filesystem::path& file) : text_(text), file_(file) {
    constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
    if (text_.starts_with(byte_order_mark)) at_ = byte_order_mark.size();
  }

  /// The next line that is not empty.
  std::optional<CsvRow> next() {
    while (at_ < text_.size() && end_of_line()) skip_end_of_line();
    if (at_ == text_.size()) return std::nullopt;
    CsvRow row{.line = line_};
    while (true) {
      row.fields.push_back(field());
      if (at_ < text_.size() && text_[at_] == ',') {
        ++at_;
        continue;
      }
      if (at_ < text_.size()) skip_end_of_line();
      return row;
    }
  }

 private:
  bool end_of_line() const { return text_[at_] == '\n' || text_[at_] == '\r'; }

  void skip_end_of_line() {
    if (text_.substr(at_, 2) == "\r\n") ++at_;
    ++at_;
    ++line_;
  }

  std::string field() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    if (at_ < text_.size() && text_[at_] == '"') return quoted();
    const size_t first = at_;
    while (at_ < text_.size() && text_[at_] != ',' && !end_of_line()) ++at_;
    return std::string(text_.substr(first, at_ - first));
  }

  /// Behind the closing mark a field goes on as an unquoted one, as Python's reader has it.
  std::string quoted() {
    const size_t begin = line_;
    std::string value;
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '"') {
        if (at_ + 1 == text_.size() || text_[at_ + 1] != '"') break;
        ++at_;
      } else if (text_[at_] == '\n') {
        ++line_;
      }
      value += text_[at_];
    }
    if (at_ == text_.size()) {
      fail(ErrorKind::input, file_, fmt::format("line {}", begin), "a quotation mark is not closed");
    }
    const size_t first = ++at_;
    while (at_ < text_.size() && text_[at_] != ',' && !end_of_line()) ++at_;
    value += text_.substr(first, at_ - first);
    return value;
  }

  std::string_view text_;
  const std::filesystem::path& file_;
  size_t at_ = 0, line_ = 1;
};

std::string stripped(std::string_view text) {
  const size_t first = after_spaces(text, 0);
  return std::string(text.substr(first, before_spaces(text, text.size(), first) - first));
}

/// Which column is which; the last of a name counts.
std::map<std::string, size_t> columns_of(const CsvRow& head) {
  std::map<std::string, size_t> columns;
  for (size_t i = 0; i < head.fields.size(); ++i) columns[head.fields[i]] = i;
  return columns;
}

}  // namespace

std::vector<PromptStyle> parse_styles(std::string_view text, const std::filesystem::path& file) {
  if (const auto offset = invalid_utf8_offset(text)) {
    fail(ErrorKind::input, file, fmt::format("offset {}", *offset), "the text is not UTF-8");
  }
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
    fail(ErrorKind::input, file, fmt::format("offset {}", nul), "the text holds a NUL character");
  }
  CsvReader reader(text, file);
  const auto head = reader.next();
  const auto columns = head ? columns_of(*head) : std::map<std::string, size_t>{};
  const char* prompt = columns.contains("prompt") ? "prompt" : "text";
  if (!columns.contains("name") || !columns.contains(prompt)) {
    fail(ErrorKind::input, file, "line 1", "is no table of styles", "its first line reads name,prompt,negative_prompt");
  }
  std::vector<PromptStyle> styles;
  while (const auto row = reader.next()) {
    const auto field = [&](const char* name) {
      const auto found = columns.find(name);
      return found == columns.end() || found->second >= row->fields.size() ? "" : row->fields[found->second];
    };
    if (row->fields.size() > head->fields.size()) {
      fail(ErrorKind::input, file, fmt::format("line {}", row->line),
           fmt::format("has {} fields, and the first line names {}", row->fields.size(), head->fields.size()),
           "put fields with commas in quotation marks");
    }
    styles.push_back({.name = field("name"), .prompt = field(prompt), .negative_prompt = field("negative_prompt")});
  }
  return styles;
}

std::vector<PromptStyle> read_styles(const std::filesystem::path& file) {
  constexpr int64_t most_bytes = int64_t{64} << 20;
  const MappedFile mapped(file, ErrorKind::input);
  if (std::ssize(mapped.bytes()) > most_bytes) fail(ErrorKind::input, file, "", "is too large for a table of styles");
  return parse_styles({reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size()}, file);
}

std::string with_style(std::string_view style, std::string_view prompt) {
  constexpr std::string_view place = "{prompt}";
  if (style.find(place) == std::string_view::npos) {
    std::string first = stripped(prompt);
    const std::string second = stripped(style);
    return first.empty() || second.empty() ? first + second : first + ", " + second;
  }
  std::string text;
  size_t from = 0;
  for (size_t at = style.find(place); at != std::string_view::npos; at = style.find(place, from)) {
    text += style.substr(from, at - from);
    text += prompt;
    from = at + place.size();
  }
  return text.append(style.substr(from));
}

}  // namespace sdtorch
