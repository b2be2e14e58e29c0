#include "pipeline/settings_json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "core/error.hpp"
#include "core/suggest.hpp"
#include "pipeline/batch_size.hpp"
#include "pipeline/settings.hpp"

namespace sdtorch {
namespace {

using nlohmann::json;

constexpr const char* inputs_key = "inputs";

/// Thrown where only the key and the reason are known; settings_from_json adds the file.
std::string expect_string(std::string_view key, const json& value) {
  if (!value.is_string()) refuse(key, fmt::format("must be a string, is {}", value.type_name()));
  return value.get<std::string>();
}

/// A flag's text. What stands between commas there may be a list here, and the class a number.
std::string expect_text(const Setting& field, const json& value) {
  const auto text = [](const json& item) { return item.is_string() ? item.get<std::string>() : item.dump(); };
  const auto is_part = [](const json& item) { return item.is_string() || item.is_number(); };
  if (field.name == "class" && value.is_number_integer()) return text(value);
  const bool listed = field.value.find(',') != std::string_view::npos || field.value == "LIST";
  if (!listed || !value.is_array() || !std::ranges::all_of(value, is_part)) return expect_string(field.name, value);
  std::string list;
  for (const json& item : value) list += (list.empty() ? "" : ",") + text(item);
  return list;
}

int64_t expect_integer(std::string_view key, const json& value) {
  if (!value.is_number_integer()) refuse(key, fmt::format("must be a whole number, is {}", value.dump()));
  const bool fits = !value.is_number_unsigned() ||
                    value.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (!fits) refuse(key, fmt::format("{} is too large", value.dump()));
  return value.get<int64_t>();
}

double expect_number(std::string_view key, const json& value) {
  if (!value.is_number()) refuse(key, fmt::format("must be a number, is {}", value.type_name()));
  return value.get<double>();
}

uint64_t expect_seed(std::string_view key, const json& value) {
  if (value.is_number_unsigned()) return value.get<uint64_t>();
  if (value.is_number_integer() && value.get<int64_t>() == -1) return draw_seed();
  refuse(key, fmt::format("must be a whole number of 0…2^64-1, or -1 to draw one, is {}",
                          value.is_number() ? value.dump() : value.type_name()));
}

std::vector<double> expect_numbers(std::string_view key, const json& value) {
  if (!value.is_array()) refuse(key, fmt::format("must be a list of numbers, is {}", value.type_name()));
  std::vector<double> numbers;
  for (const json& item : value) numbers.push_back(expect_number(key, item));
  return numbers;
}

bool expect_bool(std::string_view key, const json& value) {
  if (!value.is_boolean()) refuse(key, fmt::format("must be true or false, is {}", value.type_name()));
  return value.get<bool>();
}

/// An object of paths and the SHA-256 of what they held.
std::vector<InputFile> expect_inputs(const json& value) {
  if (!value.is_object()) refuse(inputs_key, fmt::format("must be an object, is {}", value.type_name()));
  std::vector<InputFile> inputs;
  for (const auto& [path, digest] : value.items()) {
    inputs.push_back({.path = path, .sha256 = expect_string(inputs_key, digest)});
  }
  return inputs;
}

struct FromJson {
  Settings& request;
  const Setting& field;
  const json& value;

  void set_text() const { set_from_text(request, field, std::string(field.name), expect_text(field, value)); }
  void operator()(std::string Settings::*) const { set_text(); }
  void operator()(std::optional<std::string> Settings::*) const { set_text(); }
  void operator()(int64_t Settings::*m) const {
    if (is_batch_size(field) && value.is_string()) return set_text();
    request.*m = expect_integer(field.name, value);
    if (is_batch_size(field)) set_from_text(request, field, std::string(field.name), value.dump());
  }
  void operator()(std::optional<int64_t> Settings::*m) const { request.*m = expect_integer(field.name, value); }
  void operator()(double Settings::*m) const { request.*m = expect_number(field.name, value); }
  void operator()(std::optional<double> Settings::*m) const { request.*m = expect_number(field.name, value); }
  void operator()(std::optional<PixelPair> Settings::*) const { set_text(); }
  void operator()(std::optional<PixelMargins> Settings::*) const { set_text(); }
  void operator()(uint64_t Settings::*m) const { request.*m = expect_seed(field.name, value); }
  void operator()(std::optional<uint64_t> Settings::*m) const {
    if (field.name == "ensd" && value.is_number_integer() && !value.is_number_unsigned()) {
      request.*m = static_cast<uint64_t>(value.get<int64_t>());
    } else {
      request.*m = expect_seed(field.name, value);
    }
  }
  void operator()(bool Settings::*m) const { request.*m = expect_bool(field.name, value); }
  void operator()(std::vector<double> Settings::*m) const {
    if (value.is_string()) return set_text();
    if (field.name == "sigmas") return set_sigmas(request, expect_numbers(field.name, value));
    request.*m =
        value.is_array() ? expect_numbers(field.name, value) : std::vector<double>{expect_number(field.name, value)};
  }
  void operator()(std::vector<std::string> Settings::*) const {
    if (!value.is_array()) return set_text();
    std::vector<std::string> texts;
    for (const json& item : value) texts.push_back(expect_string(field.name, item));
    set_from_texts(request, field, std::string(field.name), texts);
  }
};

template <typename Value>
void put(nlohmann::ordered_json& object, const std::string& key, const Value& value) {
  object[key] = value;
}

template <typename Value>
void put(nlohmann::ordered_json& object, const std::string& key, const std::optional<Value>& value) {
  if (value) object[key] = *value;
}

template <typename Value>
void put(nlohmann::ordered_json& object, const std::string& key, const std::vector<Value>& list) {
  if (!list.empty()) object[key] = list;
}

void put(nlohmann::ordered_json& object, const std::string& key, const std::optional<PixelPair>& pair) {
  if (pair) object[key] = to_string(*pair);
}

void put(nlohmann::ordered_json& object, const std::string& key, const std::optional<PixelMargins>& margins) {
  if (margins) object[key] = to_string(*margins);
}

Settings read_fields(const json& object, const Settings& base) {
  if (!object.is_object()) refuse("", fmt::format("must be an object, is {}", object.type_name()));
  std::vector<std::string> names;
  for (const Setting& field : settings()) names.emplace_back(field.name);
  for (const auto& [key, value] : object.items()) {
    if (key == inputs_key) continue;
    if (!find_setting(key)) refuse(key, "unknown key", did_you_mean(key, names));
  }
  Settings request = base;
  for (const Setting& field : settings()) {
    const auto found = object.find(field.name);
    if (found != object.end()) std::visit(FromJson{request, field, *found}, field.member);
  }
  if (const auto found = object.find(inputs_key); found != object.end()) request.inputs = expect_inputs(*found);
  request.validate();
  return request;
}

}  // namespace

nlohmann::ordered_json settings_to_json(const Settings& request) {
  nlohmann::ordered_json object;
  for (const Setting& field : settings()) {
    std::visit([&](auto member) { put(object, std::string(field.name), request.*member); }, field.member);
    if (is_batch_size(field) && request.batch_size == automatic_batch_size) object[field.name] = automatic_name;
  }
  json inputs;  // in the order of their names: a request that was read and one that was given write the same
  for (const InputFile& file : request.inputs) inputs[file.path] = file.sha256;
  if (!inputs.is_null()) object[inputs_key] = inputs;
  return object;
}

Settings settings_from_json(const json& object, const Settings& base, const JsonSource& source) {
  try {
    return read_fields(object, base);
  } catch (const Error& error) {
    const ErrorParts& parts = error.parts();
    std::string place = source.place;
    for (std::string part : {parts.file, parts.place}) {
      if (part.starts_with("--")) part.erase(0, 2);
      if (!part.empty()) place += (place.empty() ? "" : ": ") + part;
    }
    throw Error(ErrorKind::input, {.file = source.file, .place = place, .reason = parts.reason, .hint = parts.hint});
  }
}

}  // namespace sdtorch
