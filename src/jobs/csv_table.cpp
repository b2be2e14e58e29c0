#include "jobs/csv_table.hpp"

#include <csv.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <new>

#include "core/utf8.hpp"
#include "jobs/prompt_lines.hpp"
#include "text/prompt/syntax_error.hpp"

namespace sdtorch {
namespace {

constexpr size_t longest_row = size_t{1} << 20;  // bytes: a quote without its end takes all that follows
constexpr std::string_view separator_line = "sep=";

bool is_line_end(char c) { return c == '\n' || c == '\r'; }

std::string_view line_at(std::string_view text, size_t at) {
  const size_t end = std::min(text.find_first_of("\r\n", at), text.size());
  return text.substr(at, end - at);
}

/// What a first row has most of outside its quotes; a comma where it has none.
char delimiter_of(std::string_view line) {
  constexpr std::array delimiters{',', ';', '\t'};
  std::array<size_t, delimiters.size()> counts{};
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') quoted = !quoted;
    for (size_t i = 0; i < delimiters.size(); ++i) counts.at(i) += !quoted && c == delimiters.at(i);
  }
  return delimiters.at(static_cast<size_t>(std::ranges::max_element(counts) - counts.begin()));
}

}  // namespace

/// libcsv's parser, and what it has found of a row.
class CsvTable::Parser {
 public:
  explicit Parser(char delimiter) {
    constexpr unsigned char options = CSV_STRICT | CSV_STRICT_FINI | CSV_EMPTY_IS_NULL;
    if (csv_init(&parser_, options) != 0) throw std::bad_alloc();
    csv_set_delim(&parser_, static_cast<unsigned char>(delimiter));
  }
  ~Parser() { csv_free(&parser_); }
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;

  /// False where a quote stands in the middle of a cell.
  bool feed(char c) {
    return csv_parse(&parser_, &c, 1, on_cell, on_row, this) == 1 || csv_error(&parser_) == CSV_SUCCESS;
  }

  /// False where a quote has no end.
  bool finish() { return csv_fini(&parser_, on_cell, on_row, this) == 0; }

  CsvRow row{};
  std::optional<CsvCell> open{};  ///< the cell that has begun, without its text
  size_t bytes = 0;               ///< of the row
  bool complete = false;

 private:
  static void on_cell(void* text, size_t bytes, void* self) { static_cast<Parser*>(self)->add(text, bytes); }
  static void on_row(int, void* self) { static_cast<Parser*>(self)->complete = true; }

  void add(void* text, size_t size) {
    CsvCell cell = open.value_or(CsvCell{});
    if (text) cell.text.assign(static_cast<const char*>(text), size);
    row.cells.push_back(std::move(cell));
    open.reset();
  }

  csv_parser parser_{};
};

CsvTable::CsvTable(std::string_view text, std::string file, size_t first_line, char delimiter)
    : text_(text), file_(std::move(file)), delimiter_(delimiter), here_{.line = first_line} {
  constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
  if (text_.starts_with(byte_order_mark)) at_ = byte_order_mark.size();
  if (delimiter_ == 0) {
    skip_unread();
    const std::string_view line = line_at(text_, at_);
    const bool told = line.starts_with(separator_line) && line.size() == separator_line.size() + 1;
    delimiter_ = told ? line.back() : delimiter_of(line);
    if (told) skip_line();
  }
  parser_ = std::make_unique<Parser>(delimiter_);
}

CsvTable::~CsvTable() = default;
CsvTable::CsvTable(CsvTable&&) noexcept = default;
CsvTable& CsvTable::operator=(CsvTable&&) noexcept = default;

void CsvTable::fail_at(TextPlace place, std::string reason, std::string hint) const {
  throw Error(ErrorKind::input, {.file = file_,
                                 .place = fmt::format("line {}, column {}", place.line, place.column),
                                 .reason = std::move(reason),
                                 .hint = std::move(hint)});
}

void CsvTable::advance(char c) {
  ++at_;
  const bool first_of_two = c == '\r' && at_ < text_.size() && text_[at_] == '\n';
  if (is_line_end(c) && !first_of_two) {
    here_ = {.line = here_.line + 1};
  } else if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) {
    ++here_.column;
  }
}

void CsvTable::skip_line() {
  while (at_ < text_.size() && !is_line_end(text_[at_])) advance(text_[at_]);
  const size_t line = here_.line;
  while (at_ < text_.size() && here_.line == line) advance(text_[at_]);
}

/// Blank lines and comments, where a row may begin.
void CsvTable::skip_unread() {
  while (at_ < text_.size()) {
    const std::string_view content = without_blanks(line_at(text_, at_));
    if (!content.empty() && !content.starts_with('#')) return;
    skip_line();
  }
}

void CsvTable::feed(char c) {
  const bool blank = c != delimiter_ && (c == ' ' || c == '\t');
  if (!parser_->open && !blank) parser_->open = CsvCell{.quoted = c == '"', .verbatim = c != '"', .place = here_};
  const TextPlace place = here_;
  const CsvCell cell = parser_->open.value_or(CsvCell{});
  advance(c);
  if (!parser_->feed(c)) {
    parser_ = std::make_unique<Parser>(delimiter_);
    if (!is_line_end(c)) skip_line();
    const bool closed = cell.quoted;
    fail_at(place, closed ? "text stands behind a cell's closing quote" : "a quote stands in the middle of a cell",
            "put the whole cell into quotes, and double those inside");
  }
  if (++parser_->bytes > longest_row) {
    at_ = text_.size();
    const TextPlace start = parser_->open ? parser_->open->place : parser_->row.place;
    parser_ = std::make_unique<Parser>(delimiter_);
    fail_at(start, fmt::format("a row is longer than {} bytes", longest_row), "is a quote without its end?");
  }
}

void CsvTable::check(const CsvRow& row) const {
  for (const CsvCell& cell : row.cells) {
    if (const auto offset = invalid_utf8_offset(cell.text)) {
      TextPlace place = cell.place;
      if (cell.verbatim) place.column += column_of(cell.text, *offset) - 1;
      fail_at(place, "the text is not UTF-8");
    }
  }
}

CsvRow CsvTable::take_row() {
  CsvRow row = std::move(parser_->row);
  parser_->row = {};
  parser_->bytes = 0;
  parser_->complete = false;
  parser_->open.reset();
  check(row);
  return row;
}

std::optional<CsvRow> CsvTable::next() {
  const auto is_empty = [](const CsvCell& cell) { return cell.text.empty() && !cell.quoted; };
  while (at_ < text_.size()) {
    if (parser_->bytes == 0) {
      skip_unread();
      parser_->row.place = here_;
    }
    if (at_ < text_.size()) feed(text_[at_]);
    if (!parser_->complete) continue;
    CsvRow row = take_row();
    if (!std::ranges::all_of(row.cells, is_empty)) return row;
  }
  if (parser_->bytes == 0) return std::nullopt;
  const TextPlace open = parser_->open ? parser_->open->place : here_;
  const bool whole = parser_->finish();
  CsvRow row = take_row();
  if (!whole) fail_at(open, "a cell's quote has no end", "a quote inside a cell is written twice");
  if (std::ranges::all_of(row.cells, is_empty)) return std::nullopt;
  return row;
}

}  // namespace sdtorch
