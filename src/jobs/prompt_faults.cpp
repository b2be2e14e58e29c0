#include "jobs/prompt_faults.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "core/number.hpp"
#include "jobs/given_flags.hpp"

namespace sdtorch {
namespace {

constexpr std::string_view line_word = "line ";
constexpr size_t most_reported = 20;  // lines at fault that a message lists

/// The N of `column N`.
std::optional<uint64_t> column_in(const std::string& place) {
  constexpr std::string_view word = "column ";
  return place.starts_with(word) ? parse_unsigned(std::string_view(place).substr(word.size())) : std::nullopt;
}

/// The value that an error is about.
const ValuePlace* place_of(const std::vector<ValuePlace>& values, const Settings& settings, const Error& error) {
  const std::string& file = error.parts().file;
  if (file.empty()) return nullptr;
  const Setting* named = setting_of_flag(file);
  for (const ValuePlace& value : values) {
    if (value.setting == named) return &value;
  }
  for (const ValuePlace& value : values) {
    const auto text = text_of(settings, *value.setting);
    if (text && text->find(file) != std::string::npos) return &value;
  }
  return nullptr;
}

}  // namespace

Error fault_in(const std::string& file, TextPlace place, const Error& error, bool verbatim) {
  const ErrorParts& parts = error.parts();
  const auto inner = verbatim ? column_in(parts.place) : std::nullopt;
  const size_t column = place.column + (inner ? static_cast<size_t>(*inner) - 1 : 0);
  std::string where = fmt::format("line {}, column {}", place.line, column);
  for (const std::string& part : {parts.file, inner ? "" : parts.place}) {
    if (!part.empty()) where += ": " + part;
  }
  return {ErrorKind::input, {.file = file, .place = where, .reason = parts.reason, .hint = parts.hint}};
}

Error fault_in(const std::string& file, TextPlace start, const std::vector<ValuePlace>& values,
               const Settings& settings, const Error& error) {
  const ValuePlace* at = place_of(values, settings, error);
  if (!at) return fault_in(file, start, error);
  return fault_in(file, {.line = at->line, .column = at->column}, error, at->verbatim);
}

LineFault fault_of(const Error& error) {
  const std::string_view place = error.parts().place;
  const std::string_view number = place.starts_with(line_word) ? place.substr(line_word.size()) : "";
  return {.line = parse_unsigned(number.substr(0, number.find_first_not_of("0123456789"))).value_or(0),
          .text = error.what()};
}

bool is_of_line(const Job& job, const Error& error) {
  return !job.source.empty() && (error.kind() == ErrorKind::usage || error.kind() == ErrorKind::input);
}

LineFault fault_of(const Job& job, const Error& error) {
  const size_t mark = job.source.rfind(fmt::format(": {}", line_word));
  if (mark == std::string::npos) return {.text = fmt::format("{}: {}", job.source, error.what())};
  const auto line = parse_unsigned(std::string_view(job.source).substr(mark + 2 + line_word.size())).value_or(1);
  const Settings settings{job.choice, job.request};
  LineFault fault = fault_of(fault_in(job.source.substr(0, mark), {.line = line}, job.places, settings, error));
  if (!job.variant.empty()) fault.text += fmt::format(" (with {})", job.variant);
  return fault;
}

void throw_faults(std::vector<LineFault> faults) {
  std::ranges::stable_sort(faults, {}, &LineFault::line);
  std::set<std::string_view> said;
  std::string message;
  for (const LineFault& fault : faults) {
    if (!said.insert(fault.text).second || said.size() > most_reported) continue;
    message += (message.empty() ? "" : "\n  ") + fault.text;
  }
  if (said.size() > most_reported) message += fmt::format("\n  and {} more", said.size() - most_reported);
  throw Error(ErrorKind::input, {.reason = message});
}

}  // namespace sdtorch
