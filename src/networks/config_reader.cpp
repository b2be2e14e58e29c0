#include "networks/config_reader.hpp"

#include <fmt/format.h>

#include <cmath>

#include "core/error.hpp"

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

std::string quoted(std::span<const ActivationName> names) {
  std::string list;
  for (const auto& [name, activation] : names) list += fmt::format("{}{}", list.empty() ? "" : ", ", name);
  return list;
}

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

}  // namespace

ConfigReader::ConfigReader(const nlohmann::json& json, std::string file) : json_(json), file_(std::move(file)) {
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

double ConfigReader::number(const char* key, double fallback) {
  constexpr double largest = 1e30;
  const nlohmann::json* found = value(key);
  if (!found) return fallback;
  if (!found->is_number()) fail(key, "a number");
  const auto number = found->get<double>();
  if (!(std::abs(number) <= largest)) fail(key, "a finite number");
  return number;
}

double ConfigReader::positive_number(const char* key, double fallback) {
  const double found = number(key, fallback);
  if (!(found > 0)) fail(key, "a number above 0");
  return found;
}

bool ConfigReader::boolean(const char* key, bool fallback) {
  const nlohmann::json* found = value(key);
  if (!found) return fallback;
  if (!found->is_boolean()) fail(key, "true or false");
  return found->get<bool>();
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

Activation ConfigReader::activation(const char* key, std::string_view fallback, std::span<const ActivationName> names) {
  const std::string wanted = lower(text(key, fallback));
  for (const auto& [name, activation] : names) {
    if (name == wanted) return activation;
  }
  fail(key, "one of " + quoted(names));
}

std::optional<Activation> ConfigReader::optional_activation(const char* key, std::span<const ActivationName> names) {
  if (!given(key)) return std::nullopt;
  return activation(key, "", names);
}

void ConfigReader::ignore(std::initializer_list<const char*> keys) { known_.insert(keys.begin(), keys.end()); }

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
    if (key.starts_with('_') || known_.contains(key)) continue;
    fail_because(key.c_str(), fmt::format("unknown key, with the value {}: it may change the numbers", excerpt(found)));
  }
}

}  // namespace sdtorch
