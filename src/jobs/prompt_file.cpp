#include "jobs/prompt_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "core/error.hpp"
#include "core/log.hpp"
#include "core/suggest.hpp"
#include "jobs/csv_table.hpp"
#include "jobs/prompt_faults.hpp"
#include "jobs/prompt_line_reader.hpp"

namespace sdtorch {
namespace {

constexpr size_t most_bytes = size_t{256} << 20;  // of a prompt file: a million long prompts

std::string read_all(std::istream& in, const std::string& file) {
  std::string text;
  std::array<char, 1 << 16> buffer{};
  while (in.read(buffer.data(), buffer.size()) || in.gcount() > 0) {
    text.append(buffer.data(), static_cast<size_t>(in.gcount()));
    if (text.size() > most_bytes) fail(ErrorKind::input, file, "", fmt::format("is longer than {} bytes", most_bytes));
  }
  if (in.bad()) fail(ErrorKind::input, file, "", "cannot be read");
  return text;
}

std::string read_whole(const std::string& file) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) fail(ErrorKind::input, file, "", "no such file");
  if (std::filesystem::is_directory(file, error)) fail(ErrorKind::input, file, "", "is a folder");
  std::ifstream in(file, std::ios::binary);
  if (!in) fail(ErrorKind::input, file, "", "cannot be read");
  return read_all(in, file);
}

PromptFormat format_of(const std::string& file, const std::string& text) {
  const std::string ending = ascii_lower(std::filesystem::path(file).extension().string());
  if (ending == ".txt") return PromptFormat::txt;
  if (ending == ".jsonl") return PromptFormat::jsonl;
  if (ending == ".csv") return PromptFormat::csv;
  const PromptFormat format = format_by_content(text);
  if (format == PromptFormat::txt) refuse_table(text, file);
  log_detail(fmt::format("{}: read as {}", file, prompt_format_names.at(static_cast<size_t>(format))));
  return format;
}

/// Jobs and faults of a file, line by line.
class Reading {
 public:
  /// text: the whole file.
  Reading(PromptLineReaderOptions options, std::string_view text) : reader_(options) {
    const auto lines = static_cast<size_t>(std::ranges::count(text, '\n')) + 1;
    jobs_.reserve(std::min(lines * options.expansion.sweep.size(), most_jobs));
  }

  void read_lines(const std::string& text) {
    size_t number = 0;
    for (const std::string_view line : split_lines(text)) {
      ++number;
      add([&](size_t room) { return reader_.read(line, number, room); });
    }
  }

  void read_table(const std::string& text, const std::string& name) {
    CsvTable table(text, name);
    const auto first = table.next();
    if (!first) return;
    reader_.read_row(*first);
    for (bool more = true; more;) {
      add([&](size_t room) {
        const auto row = table.next();
        more = row.has_value();
        return row ? reader_.read_row(*row, room) : std::vector<Job>{};
      });
    }
  }

  /// Throws what is wrong with the whole file, or, where nobody takes them, with its lines.
  std::vector<Job> finish(const std::string& name, std::vector<LineFault>* faults) {
    if (!faults_.empty() && (jobs_.empty() || !faults)) throw_faults(std::move(faults_));
    if (faults) *faults = std::move(faults_);
    if (jobs_.empty()) fail(ErrorKind::input, name, "", "holds no prompt");
    check_pictures(jobs_);
    return std::move(jobs_);
  }

 private:
  template <typename Read>
  void add(Read&& read) {
    try {
      std::vector<Job> jobs = read(most_jobs - jobs_.size());
      jobs_.insert(jobs_.end(), std::make_move_iterator(jobs.begin()), std::make_move_iterator(jobs.end()));
    } catch (const TooManyJobs&) {
      throw;
    } catch (const Error& error) {
      faults_.push_back(fault_of(error));
    }
  }

  PromptLineReader reader_;
  std::vector<Job> jobs_{};
  std::vector<LineFault> faults_{};
};

/// Each warning once, at the first line that earns it.
void warn(const std::vector<Job>& jobs) {
  std::set<std::string> said;
  for (const Job& job : jobs) {
    for (const std::string& line : job.request.warnings()) {
      if (said.insert(line).second) log_warning_once(fmt::format("{}: {}", job.source, line));
    }
  }
}

}  // namespace

std::vector<Job> read_prompt_file(const std::string& file, const Settings& base, std::istream& in,
                                  std::optional<PromptFormat> format, const Expansion& expansion,
                                  std::vector<LineFault>* faults) {
  const bool from_input = file == "-";
  const std::string name = from_input ? "<stdin>" : file;
  const std::string text = from_input ? read_all(in, name) : read_whole(file);
  check_is_text(text, name);
  const bool told = format.has_value();
  if (!told) format = format_of(file, text);
  if (!told || format == PromptFormat::jsonl) check_is_no_document(text, name);
  Reading reading({.base = base,
                   .name = name,
                   .format = format,
                   .others = !told,
                   .ids = from_input,
                   .takes_input = from_input,
                   .expansion = expansion},
                  text);
  if (format == PromptFormat::csv) {
    reading.read_table(text, name);
  } else {
    reading.read_lines(text);
  }
  std::vector<Job> jobs = reading.finish(name, faults);
  warn(jobs);
  return jobs;
}

}  // namespace sdtorch
