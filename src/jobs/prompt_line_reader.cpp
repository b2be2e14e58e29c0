#include "jobs/prompt_line_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/log.hpp"
#include "core/number.hpp"
#include "core/suggest.hpp"
#include "core/utf8.hpp"
#include "io/json.hpp"
#include "jobs/foreign_lines.hpp"
#include "jobs/json_keys.hpp"
#include "jobs/line_flags.hpp"
#include "jobs/prompt_faults.hpp"
#include "pipeline/settings_json.hpp"
#include "text/prompt/syntax_error.hpp"

namespace sdtorch {
namespace {

constexpr size_t longest_line = size_t{1} << 20;  // bytes: a file whose line ends are missing is no prompt
constexpr const char* id_key = "id";
constexpr const char* output_key = "output";
constexpr const char* inputs_key = "inputs";

/// A line's content; empty for one that is passed over.
std::string_view content_of(std::string_view line, const std::string& name, size_t number) {
  const auto fail_at = [&](size_t column, std::string reason, std::string hint = {}) {
    fail(ErrorKind::input, name, fmt::format("line {}, column {}", number, column), std::move(reason), std::move(hint));
  };
  if (line.size() > longest_line) fail_at(1, fmt::format("is longer than {} bytes", longest_line), "one prompt a line");
  if (const auto offset = invalid_utf8_offset(line)) fail_at(column_of(line, *offset), "the text is not UTF-8");
  const std::string_view content = without_blanks(line);
  return content.starts_with('#') ? "" : content;
}

/// The byte that a JSON error names, from 1, as the line's column.
size_t column_of_json_error(std::string_view content, const std::string& place) {
  const size_t at = place.rfind("column ");
  const auto byte = at == std::string::npos ? std::nullopt : parse_unsigned(std::string_view(place).substr(at + 7));
  return byte ? column_of(content, static_cast<size_t>(*byte) - 1) : 1;
}

nlohmann::json parse_line(std::string_view content) {
  if (content.ends_with(',') && nlohmann::json::accept(content.substr(0, content.size() - 1))) {
    throw LineError(column_of(content, content.size() - 1),
                    {.reason = "ends in a comma", .hint = "JSON lines have nothing between them"});
  }
  try {
    return parse_json(content, "", ErrorKind::input);
  } catch (const Error& error) {
    const ErrorParts& parts = error.parts();
    throw LineError(column_of_json_error(content, parts.place), {.reason = parts.reason, .hint = parts.hint});
  }
}

/// The setting of a key: a long flag's name, or one of its aliases. Throws LineError.
const Setting& setting_of_key(const JsonKey& key, size_t column) {
  const bool is_long = key.name.size() > 1 && !key.name.starts_with('-');
  try {
    return flag_of_line(is_long ? key.name : "--" + key.name, key.name);
  } catch (const Error& error) {
    ErrorParts parts = error.parts();
    if (parts.reason == unknown_flag) {
      std::vector<std::string> names;
      for (const Setting& setting : settings()) {
        if (setting.scope == SettingScope::picture) names.emplace_back(setting.name);
      }
      const size_t dashes = std::min(key.name.find_first_not_of('-'), key.name.size());
      parts.reason = "unknown key";
      parts.hint = near_flag(std::string_view(key.name).substr(dashes));
      if (parts.hint.empty()) parts.hint = did_you_mean(key.name, names);
    }
    throw LineError(column, std::move(parts));
  }
}

/// What settings_from_json says of a key, as a usage error that names it.
Error error_of_key(const Error& error) {
  const std::string& place = error.parts().place;
  const size_t end = std::min(place.find(": "), place.size());
  return {ErrorKind::usage,
          {.file = place.substr(0, end),
           .place = end == place.size() ? "" : place.substr(end + 2),
           .reason = error.parts().reason,
           .hint = error.parts().hint}};
}

/// Where another tool's line has a flag, in any case.
size_t column_of_word(std::string_view content, std::string_view word) {
  if (word.size() > 2 && word.starts_with('\'') && word.ends_with('\'')) word = word.substr(1, word.size() - 2);
  const std::string lower = ascii_lower(content);
  const size_t at = word.empty() ? std::string::npos : lower.find(ascii_lower(word));
  return at == std::string::npos ? 1 : column_of(content, at);
}

bool takes_standard_input(const Request& request) {
  const auto is_input = [](const std::string& file) { return file == "-"; };
  return is_input(request.init_img) || is_input(request.mask) || is_input(request.depth_img) ||
         std::ranges::any_of(request.control_image, is_input) || std::ranges::any_of(request.ip_image, is_input);
}

ValuePlace place_of_flag(const GivenFlag& flag) {
  return {.setting = flag.setting,
          .line = static_cast<uint32_t>(flag.line),
          .column = static_cast<uint32_t>(flag.column),
          .verbatim = flag.verbatim};
}

}  // namespace

PromptLineReader::PromptLineReader(PromptLineReaderOptions options) : options_(std::move(options)) {}

std::vector<Job> PromptLineReader::jobs_of_said(const Said& said, TextPlace start, size_t room) const {
  if (options_.takes_input && takes_standard_input(said.settings)) {
    refuse("-", "standard input holds the prompts already", "name a file");
  }
  const std::string source = fmt::format("{}: line {}", options_.name, start.line);
  std::vector<Job> jobs = jobs_of(said.settings, options_.expansion, source, said.places, room);
  for (Job& job : jobs) job.id = said.id;
  return jobs;
}

std::vector<Job> PromptLineReader::read(std::string_view line, size_t number, size_t room, size_t column) {
  if (options_.format == PromptFormat::csv) return read_table_line(line, number, room);
  const std::string_view content = content_of(line, options_.name, number);
  if (content.empty()) return {};
  if (!options_.format) tell_format(content);
  if (options_.format == PromptFormat::csv) return read_table_line(line, number, room);
  const size_t lead = column - 1 + column_of(line, static_cast<size_t>(content.data() - line.data())) - 1;
  const TextPlace start{.line = number, .column = lead + 1};
  Said said{.settings = options_.base};
  try {
    read_content(said, content, start);
    return jobs_of_said(said, start, room);
  } catch (const TooManyJobs&) {
    throw;
  } catch (const LineError& error) {
    throw fault_in(options_.name, {.line = number, .column = lead + error.place().column}, error);
  } catch (const Error& error) {
    throw fault_in(options_.name, start, said.places, said.settings, error);
  }
}

std::vector<Job> PromptLineReader::read_table_line(std::string_view line, size_t number, size_t room) {
  CsvTable table(line, options_.name, number, delimiter_);
  if (delimiter_ == 0) delimiter_ = table.delimiter();
  const std::optional<CsvRow> row = table.next();
  return row ? read_row(*row, room) : std::vector<Job>{};
}

std::vector<Job> PromptLineReader::read_row(const CsvRow& row, size_t room) {
  if (!columns_) {
    columns_.emplace(row, options_.name, !options_.expansion.sweep.gives("prompt"));
    return {};
  }
  Said said{.settings = options_.base};
  try {
    std::vector<GivenFlag> flags = columns_->flags_of(row);
    for (const GivenFlag& flag : flags) said.places.push_back(place_of_flag(flag));
    pair_control_nets(flags);
    apply_flags(said.settings, flags);
    return jobs_of_said(said, row.place, room);
  } catch (const TooManyJobs&) {
    throw;
  } catch (const LineError& error) {
    throw fault_in(options_.name, error.place(), error);
  } catch (const Error& error) {
    throw fault_in(options_.name, row.place, said.places, said.settings, error);
  }
}

void PromptLineReader::tell_format(std::string_view content) {
  check_is_no_document(content, options_.name);
  const PromptFormat format = format_by_content(content);
  if (format == PromptFormat::txt) refuse_table(content, options_.name);
  options_.format = format;
}

PromptFormat PromptLineReader::format_of_line(std::string_view content) const {
  PromptFormat format = *options_.format;
  if (options_.mixed && (format == PromptFormat::txt || format == PromptFormat::jsonl)) {
    format = begins_as_object(content) ? PromptFormat::jsonl : PromptFormat::txt;
  }
  if (format != PromptFormat::txt || !options_.others) return format;
  if (is_kohya_line(content)) return PromptFormat::kohya;
  if (!is_a1111_line(content)) return format;
  const std::vector<std::string_view> flags = flags_in(content);
  const bool theirs = std::ranges::all_of(flags, is_a1111_flag);
  const bool ours = std::ranges::all_of(flags, [](std::string_view flag) { return setting_of_flag(flag) != nullptr; });
  return theirs || !ours ? PromptFormat::a1111 : format;
}

void PromptLineReader::read_content(Said& said, std::string_view content, TextPlace start) {
  const PromptFormat format = format_of_line(content);
  if (format == PromptFormat::jsonl) return read_json(said, content, start);
  if (*options_.format == PromptFormat::txt && begins_as_object(content)) {
    warn_once({.line = start.line, .column = 0},
              "looks like JSON, but is drawn as text; for JSON lines, give --from-file-format jsonl");
  }
  if (format == PromptFormat::txt) return read_text(said, content, start);
  read_others(said, format, content, start);
}

void PromptLineReader::read_text(Said& said, std::string_view content, TextPlace start) {
  FlaggedLine read = read_flagged_line(content, options_.base);
  if (!read.prompt.empty()) {
    read.flags.push_back({.setting = find_setting("prompt"),
                          .text = std::string(read.prompt),
                          .column = column_of(content, static_cast<size_t>(read.prompt.data() - content.data())),
                          .verbatim = true});
  }
  for (GivenFlag& flag : read.flags) {
    flag.line = start.line;
    flag.column += start.column - 1;
    said.places.push_back(place_of_flag(flag));
  }
  if (read.text_column != 0) {
    warn_once({.line = start.line, .column = start.column - 1 + read.text_column},
              fmt::format("{} is drawn as text: what follows is not all flags with values that they take; put "
                          "values with blanks into quotes",
                          read.text_flag));
  }
  pair_control_nets(read.flags);
  apply_flags(said.settings, read.flags);
}

void PromptLineReader::read_others(Said& said, PromptFormat format, std::string_view content, TextPlace start) {
  const bool kohya = format == PromptFormat::kohya;
  const auto add_place = [&](const Setting* setting, size_t column, bool verbatim) {
    said.places.push_back(place_of_flag(
        {.setting = setting, .column = start.column - 1 + column, .line = start.line, .verbatim = verbatim}));
  };
  const std::vector<std::string_view> flags = flags_in(content);
  if (kohya || flags.empty()) add_place(find_setting("prompt"), 1, true);
  for (const std::string_view flag : flags) {
    const Setting* setting = kohya ? setting_of_kohya(flag) : setting_of_a1111(flag);
    if (setting) add_place(setting, column_of(content, static_cast<size_t>(flag.data() - content.data())), false);
  }
  ForeignLine line;
  try {
    line = kohya ? read_kohya_line(content, options_.base) : read_a1111_line(content, options_.base);
  } catch (const Error& error) {
    throw LineError(column_of_word(content, error.parts().file), error.parts());
  }
  said.settings = std::move(line.request);
  for (const std::string& left_out : line.left_out) warn_once({.line = start.line, .column = 0}, left_out);
}

void PromptLineReader::read_json(Said& said, std::string_view content, TextPlace start) const {
  const nlohmann::json whole = parse_line(content);
  if (!whole.is_object()) {
    throw LineError(1, {.reason = fmt::format("must be an object, is {}", whole.type_name())});
  }
  nlohmann::json object = nlohmann::json::object();
  std::map<std::string, std::string> spelled;  // keys by their settings
  for (const JsonKey& key : json_keys(content)) {
    const size_t column = column_of(content, key.offset);
    const nlohmann::json& value = whole.at(key.name);
    if (options_.ids && key.name == id_key) {
      said.id = value.dump();
    } else if (options_.ids && key.name == output_key) {
      continue;
    } else if (key.name == inputs_key) {
      object[key.name] = value;
    } else {
      const Setting& setting = setting_of_key(key, column);
      const std::string name(setting.name);
      const auto [before, is_first] = spelled.emplace(name, key.name);
      if (!is_first) throw LineError(column, {.file = key.name, .reason = "is said already, as " + before->second});
      object[name] = value;
      said.places.push_back(
          place_of_flag({.setting = &setting, .column = start.column - 1 + column, .line = start.line}));
    }
  }
  if (!object.contains("prompt") && !options_.expansion.sweep.gives("prompt")) {
    throw LineError(1, {.reason = "the key prompt is missing"});
  }
  try {
    said.settings = settings_from_json(object, options_.base, {});
  } catch (const Error& error) {
    throw error_of_key(error);
  }
}

void PromptLineReader::warn_once(TextPlace place, const std::string& what) {
  if (!warned_.insert(what).second) return;
  const std::string column = place.column == 0 ? "" : fmt::format(", column {}", place.column);
  log_warning(fmt::format("{}: line {}{}: {}", options_.name, place.line, column, what));
}

}  // namespace sdtorch
