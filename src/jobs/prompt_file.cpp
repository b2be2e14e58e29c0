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
#include "core/utf8.hpp"
#include "io/json.hpp"
#include "pipeline/settings_json.hpp"

namespace sdtorch {
namespace {

constexpr std::string_view blank = " \t\r\v\f";
constexpr size_t most_bytes = size_t{256} << 20;  // of a prompt file: a million long prompts
constexpr size_t most_reported = 20;              // lines at fault that a message lists

std::string_view trimmed(std::string_view line) {
  const size_t first = line.find_first_not_of(blank);
  return first == std::string_view::npos ? "" : line.substr(first, line.find_last_not_of(blank) - first + 1);
}

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

enum class Format { txt, jsonl };

Format format_of(const std::string& file, const std::string& text) {
  if (file == "-") {
    const size_t first = text.find_first_not_of(std::string(blank) + "\n");
    return first != std::string::npos && text[first] == '{' ? Format::jsonl : Format::txt;
  }
  const std::string ending = ascii_lower(std::filesystem::path(file).extension().string());
  if (ending == ".txt") return Format::txt;
  if (ending == ".jsonl") return Format::jsonl;
  fail(ErrorKind::input, file, "", "a prompt file ends in .txt or .jsonl");
}

Settings read_json_line(std::string_view line, const Settings& base, const std::string& name, size_t number) {
  const std::string place = fmt::format("line {}", number);
  const nlohmann::json object = parse_json(line, name, ErrorKind::input, {.first_line = number});
  for (const Setting& setting : ::sdtorch::settings()) {
    if (setting.scope != SettingScope::run || !object.is_object() || !object.contains(setting.name)) continue;
    fail(ErrorKind::input, name, fmt::format("{}: {}", place, setting.name), "holds for the whole run, not for a line",
         fmt::format("give --{} on the command line", setting.name));
  }
  Settings settings = settings_from_json(object, base, {.file = name, .place = place});
  if (!object.contains("prompt")) fail(ErrorKind::input, name, place, "the key prompt is missing");
  return settings;
}

Settings read_txt_line(std::string_view line, const Settings& base, const std::string& name, size_t number) {
  Settings settings = base;
  settings.prompt = line;
  try {
    settings.validate();
  } catch (const Error& error) {
    fail(ErrorKind::input, name, fmt::format("line {}", number), error.parts().reason, error.parts().hint);
  }
  return settings;
}

/// Jobs and faults of a file, line by line.
struct Reading {
  std::vector<Job> jobs{};
  std::vector<std::string> faults{};
};

Reading read_lines(const std::string& text, Format format, const Settings& base, const std::string& name) {
  constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
  Reading reading;
  std::string_view rest = text;
  if (rest.starts_with(byte_order_mark)) rest.remove_prefix(byte_order_mark.size());
  for (size_t number = 1; !rest.empty(); ++number) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view whole = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    try {
      if (const auto offset = invalid_utf8_offset(whole)) {
        fail(ErrorKind::input, name, fmt::format("line {}: offset {}", number, *offset), "the text is not UTF-8");
      }
      const std::string_view line = trimmed(whole);
      if (line.empty() || (format == Format::txt && line.starts_with('#'))) continue;
      const auto read = format == Format::jsonl ? read_json_line : read_txt_line;
      reading.jobs.push_back(job_of(read(line, base, name, number), fmt::format("{}: line {}", name, number)));
    } catch (const Error& error) {
      reading.faults.emplace_back(error.what());
    }
  }
  return reading;
}

/// Each warning once, at the first line that earns it.
void warn(const std::vector<Job>& jobs) {
  std::set<std::string> said;
  for (const Job& job : jobs) {
    for (const std::string& line : job.request.warnings()) {
      if (said.insert(line).second) log_warning(fmt::format("{}: {}", job.source, line));
    }
  }
}

}  // namespace

void throw_faults(const std::vector<std::string>& faults) {
  std::string message = faults.front();
  for (size_t i = 1; i < std::min(faults.size(), most_reported); ++i) message += "\n  " + faults[i];
  if (faults.size() > most_reported) message += fmt::format("\n  and {} lines more", faults.size() - most_reported);
  throw Error(ErrorKind::input, {.reason = message});
}

std::vector<Job> read_prompt_file(const std::string& file, const Settings& base, std::istream& in) {
  const std::string name = file == "-" ? "<stdin>" : file;
  const std::string text = file == "-" ? read_all(in, name) : read_whole(file);
  Reading reading = read_lines(text, format_of(file, text), base, name);
  if (!reading.faults.empty()) throw_faults(reading.faults);
  if (reading.jobs.empty()) fail(ErrorKind::input, name, "", "holds no prompt");
  warn(reading.jobs);
  return std::move(reading.jobs);
}

}  // namespace sdtorch
