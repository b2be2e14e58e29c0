// Reads the infotext that A1111 and its kin write into pictures.
#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/log.hpp"
#include "core/suggest.hpp"
#include "diffusion/schedules.hpp"
#include "pipeline/metadata.hpp"
#include "pipeline/settings.hpp"

namespace sdtorch {
namespace {

using Entries = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view negative_mark = "Negative prompt:";

/// Entries of the last line that are fields of a request; those that only name things are left out in silence.
struct Counterpart {
  std::string_view entry;
  std::string_view field;  ///< empty: tells nothing that a request needs
};
constexpr std::array<Counterpart, 18> counterparts = {{
    {"Steps", "steps"},
    {"Sigmas", "sigmas"},
    {"Sampler", "sampler"},
    {"CFG scale", "cfg-scale"},
    {"Seed", "seed"},
    {"Eta", "eta"},
    {"Guidance rescale", "guidance-rescale"},
    {"Timestep spacing", "spacing"},
    {"Prediction", "prediction"},
    {"Original size", "original-size"},
    {"Crop", "crop"},
    {"Target size", "target-size"},
    {"Model", ""},
    {"Model hash", ""},
    {"VAE hash", ""},
    {"Note", ""},
    {"Version", ""},
    {"Hashes", ""},
}};

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blank = " \t\r\n";
  const size_t first = text.find_first_not_of(blank);
  return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(blank) - first + 1);
}

/// Where the value that starts at `start` ends: at a comma, or behind a quoted string.
size_t value_end(std::string_view line, size_t start) {
  bool quoted = false;
  for (size_t i = start; i < line.size(); ++i) {
    if (line[i] == '"') quoted = !quoted;
    if (quoted && line[i] == '\\') ++i;
    if (!quoted && line[i] == ',') return i;
  }
  return line.size();
}

std::string unquoted(std::string_view value) {
  if (!value.starts_with('"')) return std::string(value);
  const nlohmann::json text = nlohmann::json::parse(value, nullptr, false);
  return text.is_string() ? text.get<std::string>() : std::string(value);
}

/// `Key: value, Key: "value, with a comma"`, or nothing where the line is not of that form.
Entries read_entries(std::string_view line) {
  Entries entries;
  while (!(line = trimmed(line)).empty()) {
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return {};
    const size_t end = value_end(line, colon + 1);
    const std::string_view value = trimmed(line.substr(colon + 1, end - colon - 1));
    entries.emplace_back(trimmed(line.substr(0, colon)), unquoted(value));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return entries;
}

[[noreturn]] void fail_entry(const std::string& file, const std::string& entry, const std::string& reason,
                             const std::string& hint = "") {
  const std::string place = entry.empty() ? "parameters" : "parameters: " + entry;
  throw Error(ErrorKind::input, {.file = file, .place = place, .reason = reason, .hint = hint});
}

void set(Settings& request, std::string_view field, const std::string& entry, const std::string& value,
         const std::string& file) {
  try {
    set_from_text(request, *find_setting(field), entry, value);
  } catch (const Error& error) {
    fail_entry(file, entry, error.parts().reason, error.parts().hint);
  }
}

void set_size(Settings& request, const std::string& value, const std::string& file) {
  const size_t times = value.find('x');
  if (times == std::string::npos) fail_entry(file, "Size", fmt::format("'{}' is not WIDTHxHEIGHT", value));
  set(request, "width", "Size", value.substr(0, times), file);
  set(request, "height", "Size", value.substr(times + 1), file);
}

void set_schedule(Settings& request, const std::string& value, const std::string& file) {
  const SigmaSchedule* schedule = find_schedule(value);
  if (!schedule) {
    fail_entry(file, "Schedule type", fmt::format("'{}' is a schedule that is not supported", value),
               "give the flags yourself");
  }
  if (schedule->levels) request.scheduler = std::string(schedule->name);
}

void set_entry(Settings& request, const std::string& entry, const std::string& value, const std::string& file) {
  if (entry == "Size") return set_size(request, value, file);
  if (entry == "Schedule type") return set_schedule(request, value, file);
  for (const Counterpart& counterpart : counterparts) {
    if (counterpart.entry != entry) continue;
    if (!counterpart.field.empty()) set(request, counterpart.field, entry, value, file);
    return;
  }
  log_warning(fmt::format("{}: parameters: '{}: {}' has no counterpart here and is left out", file, entry, value));
}

}  // namespace

Settings parse_parameters(const std::string& text, const std::string& file) {
  const std::string_view whole = trimmed(text);
  const size_t last_break = whole.rfind('\n');
  const std::string_view last = last_break == std::string_view::npos ? whole : whole.substr(last_break + 1);
  const Entries entries = read_entries(last);
  if (entries.empty() || entries.front().first != "Steps")
    fail_entry(file, "", "the last line does not start with Steps:");
  const std::string before(last_break == std::string_view::npos ? "" : text.substr(0, text.rfind(last) - 1));
  Settings request;
  const size_t negative = before.starts_with(negative_mark) ? 0 : before.find("\n" + std::string(negative_mark));
  request.prompt = before.substr(0, std::min(negative, before.size()));
  if (negative != std::string::npos) {
    const size_t start = before.find(':', negative) + 1;
    request.negative_prompt = trimmed(std::string_view(before).substr(start));
  }
  for (const auto& [entry, value] : entries) set_entry(request, entry, value, file);
  try {
    request.validate();
  } catch (const Error& error) {
    fail_entry(file, error.parts().file, error.parts().reason, error.parts().hint);
  }
  return request;
}

}  // namespace sdtorch
