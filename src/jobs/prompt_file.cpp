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
#include "jobs/foreign_lines.hpp"
#include "pipeline/settings.hpp"
#include "pipeline/settings_json.hpp"

namespace sdtorch {
namespace {

constexpr size_t most_bytes = size_t{256} << 20;  // of a prompt file: a million long prompts
constexpr size_t most_reported = 20;              // lines at fault that a message lists
constexpr size_t longest_line = size_t{1} << 20;  // bytes: a file whose line ends are missing is no prompt

/// Flags of other tools' prompt files by the keys that mean the same here.
struct ForeignFlag {
  std::string_view flag, key;
};
constexpr std::array<ForeignFlag, 15> foreign_flags = {{{"n", "negative-prompt"},
                                                        {"w", "width"},
                                                        {"h", "height"},
                                                        {"d", "seed"},
                                                        {"s", "steps"},
                                                        {"l", "cfg-scale"},
                                                        {"num-inference-steps", "steps"},
                                                        {"ddim-steps", "steps"},
                                                        {"guidance-scale", "cfg-scale"},
                                                        {"cfg", "cfg-scale"},
                                                        {"scale", "cfg-scale"},
                                                        {"sampling-method", "sampler"},
                                                        {"sampler-name", "sampler"},
                                                        {"schedule", "scheduler"},
                                                        {"batch", "batch-count"}}};

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
  if (is_table(text)) {
    fail(ErrorKind::input, file, "", "is a table or a list of settings, not one prompt a line",
         "write JSON lines, such as {\"prompt\": \"a cat\", \"steps\": 5}, or give --from-file-format txt");
  }
  const PromptFormat format = format_by_content(text);
  log_detail(fmt::format("{}: read as {}", file, format == PromptFormat::txt ? "text" : "JSON lines"));
  return format;
}

/// The key of a line of JSON that says what a flag says, empty where there is none.
std::string key_of(std::string_view flag) {
  std::string key = ascii_lower(flag.substr(2));
  std::ranges::replace(key, '_', '-');
  for (const ForeignFlag& foreign : foreign_flags) {
    if (foreign.flag == key) key = foreign.key;
  }
  const Setting* setting = find_setting(key);
  return setting && setting->scope == SettingScope::picture ? key : "";
}

/// A line with flags, which is no prompt as a whole; the hint has the keys that they become.
void refuse_flags(std::string_view line, const std::string& name, const std::string& place) {
  const std::vector<std::string_view> flags = flags_in(line);
  if (flags.empty()) return;
  std::vector<std::string> keys = {"prompt"};
  for (const std::string_view flag : flags) {
    const std::string key = key_of(flag);
    if (!key.empty() && std::ranges::find(keys, key) == keys.end()) keys.push_back(key);
  }
  std::string object;
  for (const std::string& key : keys) object += fmt::format("{}\"{}\": …", object.empty() ? "" : ", ", key);
  fail(ErrorKind::input, name, place,
       fmt::format("{} is a flag, and a line of text is a prompt and nothing else", shortened(flags.front(), 40)),
       fmt::format("use a .jsonl file, with lines like {{{}}}", object));
}

Settings read_json_line(std::string_view line, const Settings& base, const std::string& name, size_t number) {
  const std::string place = fmt::format("line {}", number);
  if (line.ends_with(',') && nlohmann::json::accept(line.substr(0, line.size() - 1))) {
    fail(ErrorKind::input, name, place, "ends in a comma", "JSON lines have nothing between them");
  }
  const nlohmann::json object = parse_json(line, name, ErrorKind::input, {.first_line = number});
  for (const Setting& setting : settings()) {
    if (setting.scope != SettingScope::run || !object.is_object() || !object.contains(setting.name)) continue;
    fail(ErrorKind::input, name, fmt::format("{}: {}", place, setting.name), "holds for the whole run, not for a line",
         fmt::format("give --{} on the command line", setting.name));
  }
  Settings request = settings_from_json(object, base, {.file = name, .place = place});
  if (!object.contains("prompt")) fail(ErrorKind::input, name, place, "the key prompt is missing");
  return request;
}

Settings read_txt_line(std::string_view line, const Settings& base, const std::string& name, size_t number) {
  const std::string place = fmt::format("line {}", number);
  refuse_flags(line, name, place);
  Settings request = base;
  request.prompt = line;
  try {
    request.validate();
  } catch (const Error& error) {
    fail(ErrorKind::input, name, place, error.parts().reason, error.parts().hint);
  }
  return request;
}

/// Jobs and faults of a file, line by line.
struct Reading {
  std::vector<Job> jobs{};
  std::vector<std::string> faults{};
  std::set<std::string> said{};  ///< of what other tools' lines say and is left out
};

/// A line of another tool's, whose flags are its own.
Settings read_foreign_line(PromptFormat format, std::string_view line, const Settings& base, const std::string& place,
                           std::set<std::string>& said) {
  ForeignLine read = format == PromptFormat::a1111 ? read_a1111_line(line, base) : read_kohya_line(line, base);
  read.request.validate();
  for (const std::string& left_out : read.left_out) {
    if (said.insert(left_out).second) log_warning(fmt::format("{}: {}", place, left_out));
  }
  return read.request;
}

/// The line's content; empty for one that is passed over.
std::string_view content_of(std::string_view line, const std::string& name, size_t number) {
  const std::string place = fmt::format("line {}", number);
  if (line.size() > longest_line) {
    fail(ErrorKind::input, name, place, fmt::format("is longer than {} bytes", longest_line), "one prompt a line");
  }
  if (const auto offset = invalid_utf8_offset(line)) {
    fail(ErrorKind::input, name, fmt::format("{}: offset {}", place, *offset), "the text is not UTF-8");
  }
  const std::string_view content = without_blanks(line);
  return content.starts_with('#') ? "" : content;
}

/// The format of a line of text, which may be another tool's where nobody has said that it is not.
PromptFormat format_of_line(std::string_view line, PromptFormat format, bool told) {
  if (told || format != PromptFormat::txt) return format;
  if (is_a1111_line(line)) return PromptFormat::a1111;
  return is_kohya_line(line) ? PromptFormat::kohya : format;
}

/// One line as a request. Throws ErrorKind::input naming it.
Settings read_line(std::string_view line, PromptFormat format, const Settings& base, const std::string& name,
                   size_t number, std::set<std::string>& said) {
  if (format == PromptFormat::jsonl) return read_json_line(line, base, name, number);
  if (format == PromptFormat::txt) return read_txt_line(line, base, name, number);
  const std::string place = fmt::format("line {}", number);
  try {
    return read_foreign_line(format, line, base, fmt::format("{}: {}", name, place), said);
  } catch (const Error& error) {
    const ErrorParts& parts = error.parts();
    fail(ErrorKind::input, name, parts.file.empty() ? place : fmt::format("{}: {}", place, parts.file), parts.reason,
         parts.hint);
  }
}

/// told: the user has said the format.
Reading read_lines(const std::string& text, PromptFormat format, bool told, const Settings& base,
                   const std::string& name) {
  Reading reading;
  size_t number = 0;
  bool warned = false;
  for (const std::string_view whole : split_lines(text)) {
    ++number;
    try {
      const std::string_view line = content_of(whole, name, number);
      if (line.empty()) continue;
      if (format == PromptFormat::txt && !warned && begins_as_object(line)) {
        log_warning(
            fmt::format("{}: line {}: looks like JSON, but is drawn as text; for JSON lines, "
                        "give --from-file-format jsonl",
                        name, number));
        warned = true;
      }
      const Settings request = read_line(line, format_of_line(line, format, told), base, name, number, reading.said);
      reading.jobs.push_back(job_of(request, fmt::format("{}: line {}", name, number)));
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

std::vector<Job> read_prompt_file(const std::string& file, const Settings& base, std::istream& in,
                                  std::optional<PromptFormat> format) {
  const std::string name = file == "-" ? "<stdin>" : file;
  const std::string text = file == "-" ? read_all(in, name) : read_whole(file);
  check_is_text(text, name);
  const bool told = format.has_value();
  if (!told || format == PromptFormat::jsonl) check_is_no_document(text, name);
  if (!told) format = format_of(file, text);
  Reading reading = read_lines(text, *format, told, base, name);
  if (!reading.faults.empty()) throw_faults(reading.faults);
  if (reading.jobs.empty()) fail(ErrorKind::input, name, "", "holds no prompt");
  warn(reading.jobs);
  return std::move(reading.jobs);
}

}  // namespace sdtorch
