#include "core/config_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "core/error.hpp"
#include "core/log.hpp"

namespace sdtorch {
namespace {

constexpr size_t longest_list = 16;      // of blocks; each halves the picture
constexpr size_t longest_excerpt = 100;  // of a value, in a message

/// A value as a message shows it: JSON, cut where it is long. Nested values are only named: they may be deep.
std::string excerpt(const nlohmann::json& value) {
  for (const nlohmann::json& item : value) {
    if (value.is_structured() && item.is_structured()) return "a nested value";
  }
  std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace);
  if (text.size() > longest_excerpt) text = text.substr(0, longest_excerpt) + "…";
  return text;
}

/// A key that somebody made up: in quotes where it would not stand out from its surroundings.
std::string shown_key(const std::string& key) {
  const auto plain = [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '-' || c == '.'; };
  const bool stands_out = !key.empty() && key.size() <= longest_excerpt && std::ranges::all_of(key, plain);
  return stands_out ? key : excerpt(key);
}

}  // namespace

ConfigReader::ConfigReader(const nlohmann::json& json, std::string file, const ReadOptions& options)
    : json_(json), file_(std::move(file)), options_(options) {
  if (!json_.is_object()) {
    throw Error(ErrorKind::model, {.file = file_, .reason = "expected a JSON object, found " + excerpt(json_)});
  }
}

const nlohmann::json* ConfigReader::value(const char* key) {
  known_.emplace(key);
  const auto found = json_.find(key);
  return found == json_.end() ? nullptr : &*found;
}

bool ConfigReader::given(const char* key) {
  const nlohmann::json* found = value(key);
  return found && !found->is_null();
}

void ConfigReader::fail(const char* key, const std::string& expected) const {
  const auto found = json_.find(key);
  fail_because(key, fmt::format("expected {}, found {}", expected, found == json_.end() ? "nothing" : excerpt(*found)));
}

void ConfigReader::fail_item(const char* key, const nlohmann::json& item, const std::string& expected) const {
  fail_because(key, fmt::format("expected {}, found {}", expected, excerpt(item)));
}

void ConfigReader::fail_because(const char* key, const std::string& reason) const {
  throw Error(ErrorKind::model, {.file = file_, .place = key, .reason = reason});
}

int64_t ConfigReader::as_integer(const char* key, const nlohmann::json& found, IntegerRange range) const {
  const std::string expected = fmt::format("an integer from {} to {}", range.min, range.max);
  if (!found.is_number_integer()) fail(key, expected);
  if (found.is_number_unsigned() && found.get<uint64_t>() > static_cast<uint64_t>(range.max)) fail(key, expected);
  const auto number = found.get<int64_t>();
  if (number < range.min || number > range.max) fail(key, expected);
  return number;
}

int64_t ConfigReader::integer(const char* key, int64_t fallback, IntegerRange range) {
  const nlohmann::json* found = value(key);
  return found ? as_integer(key, *found, range) : fallback;
}

double ConfigReader::as_number(const char* key, const nlohmann::json& found) const {
  constexpr double largest = 1e30;
  if (!found.is_number()) fail_item(key, found, "a number");
  const auto number = found.get<double>();
  if (!(std::abs(number) <= largest)) fail_item(key, found, "a finite number");
  return number;
}

double ConfigReader::number(const char* key, double fallback) {
  const nlohmann::json* found = value(key);
  return found ? as_number(key, *found) : fallback;
}

double ConfigReader::positive_number(const char* key, double fallback) {
  const double found = number(key, fallback);
  if (!(found > 0)) fail(key, "a number above 0");
  return found;
}

bool ConfigReader::boolean(const char* key, bool fallback) {
  const nlohmann::json* found = value(key);
  if (!found || (found->is_null() && !fallback)) return fallback;
  if (!found->is_boolean()) fail(key, "true or false");
  return found->get<bool>();
}

bool ConfigReader::flag(const char* key, bool fallback) {
  return boolean(key, has(key) && !given(key) ? false : fallback);
}

std::string ConfigReader::text(const char* key, std::string_view fallback) {
  const nlohmann::json* found = value(key);
  if (!found) return std::string(fallback);
  if (!found->is_string()) fail(key, "a string");
  return found->get<std::string>();
}

std::vector<std::string> ConfigReader::texts(const char* key, std::initializer_list<const char*> fallback) {
  const nlohmann::json* found = value(key);
  if (!found) return {fallback.begin(), fallback.end()};
  const std::string expected = fmt::format("a list of 1 to {} strings", longest_list);
  if (!found->is_array() || found->empty() || found->size() > longest_list) fail(key, expected);
  std::vector<std::string> list;
  for (const nlohmann::json& item : *found) {
    if (!item.is_string()) fail(key, expected);
    list.push_back(item.get<std::string>());
  }
  return list;
}

std::vector<int64_t> ConfigReader::integers(const char* key, std::vector<int64_t> fallback, IntegerRange range) {
  const nlohmann::json* found = value(key);
  if (!found) return fallback;
  if (!found->is_array() || found->empty() || found->size() > longest_list) {
    fail(key, fmt::format("a list of 1 to {} integers", longest_list));
  }
  std::vector<int64_t> list;
  for (const nlohmann::json& item : *found) list.push_back(as_integer(key, item, range));
  return list;
}

std::vector<int64_t> ConfigReader::integer_for_each(const char* key, size_t count, int64_t fallback,
                                                    IntegerRange range) {
  const nlohmann::json* found = value(key);
  if (!found || !found->is_array()) return std::vector<int64_t>(count, integer(key, fallback, range));
  if (found->size() != count) fail(key, fmt::format("one integer or a list of {}, one a block", count));
  return integers(key, {}, range);
}

std::vector<bool> ConfigReader::boolean_for_each(const char* key, size_t count, bool fallback) {
  const nlohmann::json* found = value(key);
  if (!found || !found->is_array()) return std::vector<bool>(count, boolean(key, fallback));
  const std::string expected = fmt::format("true, false or a list of {} of them, one a block", count);
  if (found->size() != count) fail(key, expected);
  std::vector<bool> list;
  for (const nlohmann::json& item : *found) {
    if (!item.is_boolean()) fail(key, expected);
    list.push_back(item.get<bool>());
  }
  return list;
}

void ConfigReader::ignore(std::span<const char* const> keys) { known_.insert(keys.begin(), keys.end()); }

void ConfigReader::outdated(std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    if (given(key)) warn(key, fmt::format("{} is passed over: it no longer means anything", excerpt(*value(key))));
  }
}

void ConfigReader::only(const char* key, const nlohmann::json& supported) {
  if (given(key) && *value(key) != supported) {
    fail_because(key, fmt::format("{} is not supported, only {}", excerpt(*value(key)), excerpt(supported)));
  }
}

void ConfigReader::only_null(std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    if (given(key)) fail_because(key, fmt::format("{} is not supported, only null", excerpt(*value(key))));
  }
}

void ConfigReader::finish() const {
  for (const auto& [key, found] : json_.items()) {
    if (found.is_null() || key.starts_with('_') || known_.contains(key)) continue;
    const std::string reason = fmt::format("unknown key, with the value {}", excerpt(found));
    if (!options_.ignore_unknown) {
      throw Error(ErrorKind::model, {.file = file_,
                                     .place = shown_key(key),
                                     .reason = reason + ": it may change the picture",
                                     .hint = "--ignore-unknown passes over it"});
    }
    warn(shown_key(key), reason + ": passed over");
  }
}

void ConfigReader::warn(const std::string& key, const std::string& reason) const {
  log_warning_once(fmt::format("{}: {}: {}", file_, key, reason));
}

}  // namespace sdtorch
