// Lines of prompt files → jobs, one by one: of a file, or as they arrive.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/csv_table.hpp"
#include "jobs/expansion.hpp"
#include "jobs/job.hpp"
#include "jobs/prompt_lines.hpp"
#include "jobs/table_columns.hpp"
#include "pipeline/settings.hpp"

namespace sdtorch {

struct PromptLineReaderOptions {
  Settings base{};                       ///< what each line starts from
  std::string name{};                    ///< of the file, for messages
  std::optional<PromptFormat> format{};  ///< none: by the content of the first line that is neither blank nor a comment
  bool others = true;                    ///< lines of text may be A1111's or kohya's, by their content
  bool mixed = false;                    ///< each line may be text or an object, whatever the first one was
  bool ids = false;  ///< lines of JSON may have a key `id`, any value, which becomes Job::id, and a worker's `output`
  bool takes_input = false;  ///< standard input brings the lines, so that none of them may take a picture from it
  Expansion expansion{};
};

/// Reads the lines of one file, in their order.
class PromptLineReader {
 public:
  explicit PromptLineReader(PromptLineReaderOptions options);

  /// The jobs of a line, without its end: none of a blank line, a comment and a table's first row. A row of a table is
  /// one line here. number: from 1. room: how many jobs there may be. column: where the text begins in its line,
  /// from 1. Throws ErrorKind::input as `FILE: line N, column M: KEY: reason`, after which the next line may be read;
  /// for the first row of a table with all that is wrong with it, and TooManyJobs.
  std::vector<Job> read(std::string_view line, size_t number, size_t room = most_jobs, size_t column = 1);

  /// The same of a row of a table, the first included.
  std::vector<Job> read_row(const CsvRow& row, size_t room = most_jobs);

 private:
  /// What a line says, as far as it has been read.
  struct Said {
    Settings settings{};
    std::vector<ValuePlace> places{};
    std::string id{};
  };

  std::vector<Job> read_table_line(std::string_view line, size_t number, size_t room);
  std::vector<Job> jobs_of_said(const Said& said, TextPlace start, size_t room) const;
  void tell_format(std::string_view content);
  PromptFormat format_of_line(std::string_view content) const;
  void read_content(Said& said, std::string_view content, TextPlace start);
  void read_text(Said& said, std::string_view content, TextPlace start);
  void read_others(Said& said, PromptFormat format, std::string_view content, TextPlace start);
  void read_json(Said& said, std::string_view content, TextPlace start) const;
  void warn_once(TextPlace place, const std::string& what);  ///< column 0: of the whole line

  PromptLineReaderOptions options_;
  std::set<std::string> warned_{};
  std::optional<TableColumns> columns_{};
  char delimiter_ = 0;
};

}  // namespace sdtorch
