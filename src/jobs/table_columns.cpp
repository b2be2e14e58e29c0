#include "jobs/table_columns.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sdtorch {

TableColumns::TableColumns(const CsvRow& row, const std::string& file, bool needs_prompt) {
  std::vector<LineFault> faults;
  for (const CsvCell& cell : row.cells) {
    Column column{.name = cell.text};
    try {
      const bool is_letter = cell.text.size() == 1;  // which names a flag behind one dash alone
      if (!cell.text.empty()) column.setting = &flag_of_line(is_letter ? "--" + cell.text : cell.text, cell.text);
      const auto before = std::ranges::find(columns_, column.setting, &Column::setting);
      if (column.setting && before != columns_.end() && !column.setting->repeated) {
        refuse(cell.text, fmt::format("there is a column {} already", before->name));
      }
    } catch (const Error& error) {
      const bool unknown = error.parts().reason == unknown_flag;
      const std::string hint = error.parts().hint.empty() ? "the first row names the columns" : error.parts().hint;
      const Error told(
          ErrorKind::usage,
          {.file = cell.text, .reason = unknown ? "no flag has that name" : error.parts().reason, .hint = hint});
      faults.push_back(fault_of(fault_in(file, cell.place, told)));
    }
    columns_.push_back(std::move(column));
  }
  const auto is_prompt = [](const Column& column) { return column.setting && column.setting->name == "prompt"; };
  if (needs_prompt && faults.empty() && std::ranges::none_of(columns_, is_prompt)) {
    const Error missing(ErrorKind::usage,
                        {.reason = "the column prompt is missing", .hint = "the first row names the columns"});
    faults.push_back(fault_of(fault_in(file, row.place, missing)));
  }
  if (!faults.empty()) throw_faults(faults);
}

std::vector<GivenFlag> TableColumns::flags_of(const CsvRow& row) const {
  const size_t cells = row.cells.size(), columns = columns_.size();
  const auto surplus = std::find_if(row.cells.begin() + static_cast<std::ptrdiff_t>(std::min(cells, columns)),
                                    row.cells.end(), [](const CsvCell& cell) { return !cell.text.empty(); });
  if (cells < columns || surplus != row.cells.end()) {
    const TextPlace place = cells < columns ? row.place : surplus->place;
    throw LineError(place, {.reason = fmt::format("the row has {} cell{}, the first row has {}", cells,
                                                  cells == 1 ? "" : "s", columns),
                            .hint = "a cell that holds the delimiter or a line break stands in quotes"});
  }
  std::vector<GivenFlag> given;
  for (size_t i = 0; i < columns; ++i) {
    const auto& [setting, name] = columns_[i];
    const CsvCell& cell = row.cells[i];
    const bool said = !cell.text.empty() || (cell.quoted && setting && setting->may_be_empty);
    if (!setting && said)
      throw LineError(cell.place, {.reason = "the column has no name", .hint = "name it in the first row"});
    if (setting && !said && setting->name == "prompt") {
      throw LineError(cell.place, {.file = name, .reason = "is empty", .hint = "\"\" is the empty prompt"});
    }
    if (!said) continue;
    given.push_back({.setting = setting,
                     .flag = name,
                     .text = cell.text,
                     .column = cell.place.column,
                     .line = cell.place.line,
                     .verbatim = cell.verbatim});
  }
  return given;
}

}  // namespace sdtorch
