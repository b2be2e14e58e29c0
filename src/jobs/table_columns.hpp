// A table of requests: which setting each column is.
#pragma once

#include <string>
#include <vector>

#include "jobs/csv_table.hpp"
#include "jobs/given_flags.hpp"

namespace sdtorch {

/// The first row of a table of prompts. Columns have the long flags' names, with their aliases: `prompt`, `cfg`,
/// `steps`.
class TableColumns {
 public:
  /// Throws ErrorKind::input, naming file, line and column, with all that is wrong: a name that is unknown (with the
  /// nearest), of the whole run, or given twice though the flag is not; no `prompt`, where none is said otherwise.
  TableColumns(const CsvRow& row, const std::string& file, bool needs_prompt);

  /// What a row gives, in the columns' order. An empty cell gives nothing; where the empty text is a value (prompt,
  /// negative-prompt), `""` is it. Throws LineError for a row of more or fewer cells than the first, and for an empty
  /// prompt without quotes.
  std::vector<GivenFlag> flags_of(const CsvRow& row) const;

 private:
  struct Column {
    const Setting* setting = nullptr;  ///< none: without a name, and empty
    std::string name{};
  };
  std::vector<Column> columns_{};
};

}  // namespace sdtorch
