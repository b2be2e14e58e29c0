// Tables as text (RFC 4180), row by row.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/prompt_faults.hpp"

namespace sdtorch {

struct CsvCell {
  std::string text{};  ///< without its quotes, and, where it has none, without blanks at its ends
  bool quoted = false;
  bool verbatim = false;  ///< it stands in the file as it is, from `place` on
  TextPlace place{};  ///< of its first character that is no blank, a quote included; of the delimiter if there is none
};

struct CsvRow {
  TextPlace place{};
  std::vector<CsvCell> cells{};
};

/// Reads a table's rows, the first included: quotes hold delimiters and line breaks, and double themselves; lines end
/// in LF, CR LF or CR. The delimiter is what the first row has most of, commas, semicolons or tabs, or what a line
/// `sep=;` before it says. Blank lines, rows of empty cells, and lines that start with `#` outside of quotes are passed
/// over; a byte-order mark may come first.
class CsvTable {
 public:
  /// text: must outlive this. file: its name, for messages. first_line: the number of the text's first line.
  /// delimiter: 0 finds it.
  CsvTable(std::string_view text, std::string file, size_t first_line = 1, char delimiter = 0);
  ~CsvTable();
  CsvTable(CsvTable&&) noexcept;
  CsvTable& operator=(CsvTable&&) noexcept;

  /// The next row, or none. Throws ErrorKind::input with line and column for a quote in the middle of a cell or without
  /// its end, for text that is not UTF-8 and for a row above 1 MiB; what follows that line may be read on.
  std::optional<CsvRow> next();

  char delimiter() const { return delimiter_; }

 private:
  class Parser;

  void skip_unread();
  void skip_line();
  void advance(char c);
  void feed(char c);
  void check(const CsvRow& row) const;
  CsvRow take_row();
  [[noreturn]] void fail_at(TextPlace place, std::string reason, std::string hint = {}) const;

  std::string_view text_;
  std::string file_;
  char delimiter_;
  std::unique_ptr<Parser> parser_;
  size_t at_ = 0;
  TextPlace here_{};
};

}  // namespace sdtorch
