#include "jobs/request_facts.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <set>
#include <span>

#include "io/sha256.hpp"
#include "pipeline/settings_json.hpp"

namespace sdtorch {
namespace {

using nlohmann::json;

constexpr size_t longest_shown = 60;  // characters of a value in a message

std::string last_part(const std::string& path) { return std::filesystem::path(path).filename().string(); }

/// A path or a list of them, reduced.
json last_parts(const json& value) {
  if (value.is_string()) return last_part(value.get<std::string>());
  if (!value.is_array()) return value;
  json parts = json::array();
  for (const json& item : value) parts.push_back(last_parts(item));
  return parts;
}

std::string dumped(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

std::string shown(const json& object, const std::string& key) {
  if (!object.contains(key)) return "not given";
  std::string text = dumped(object[key]);
  if (text.size() > longest_shown) text = text.substr(0, longest_shown) + "…";
  return text;
}

}  // namespace

bool names_path(const Setting& setting) {
  return setting.value.starts_with("FILE") || setting.value.starts_with("PATH") || setting.value.starts_with("DIR");
}

json request_facts(const Settings& settings) {
  const json all = settings_to_json(settings);
  json facts = json::object();
  for (const Setting& setting : sdtorch::settings()) {
    const std::string name(setting.name);
    const bool counts = setting.scope == SettingScope::picture && name != "batch-count" && name != "batch-size";
    if (counts && all.contains(name)) facts[name] = names_path(setting) ? last_parts(all[name]) : all[name];
  }
  // What the input pictures held, whatever their folders.
  json inputs = json::array();
  for (const InputFile& input : settings.inputs) inputs.push_back(last_part(input.path) + " " + input.sha256);
  if (!inputs.empty()) facts["inputs"] = std::move(inputs);
  return facts;
}

json given_facts(const Settings& defaults, const Expansion& expansion) {
  const json all = settings_to_json(defaults);
  json given;
  for (const Setting& setting : sdtorch::settings()) {
    const std::string name(setting.name);
    const auto value = all.find(name);
    if (names_path(setting) && name != "model" && value != all.end() && !value->empty() && *value != "")
      given[name] = *value;
  }
  if (!expansion.sweep.empty()) given[sweep_key] = expansion.sweep.texts();
  if (expansion.wildcards) given[wildcards_key] = expansion.wildcards->folder().string();
  return given;
}

json run_facts(const ModelChoice& choice) {
  const json all = settings_to_json(Settings{choice, {}});
  json facts = json::object();
  for (const Setting& setting : settings()) {
    const std::string name(setting.name);
    const bool counts =
        setting.scope == SettingScope::run && !names_path(setting) && name != "device" && name != "deterministic";
    if (counts && all.contains(name)) facts[name] = all[name];
  }
  return facts;
}

std::string digest_of_text(std::string_view text) {
  return sha256(std::as_bytes(std::span(text.data(), text.size()))).substr(0, digest_digits);
}

std::string digest_of(const json& facts) { return digest_of_text(dumped(facts)); }

std::string differences(const json& before, const json& now) {
  std::set<std::string> keys;
  for (const auto& [key, value] : before.items()) keys.insert(key);
  for (const auto& [key, value] : now.items()) keys.insert(key);
  std::string lines;
  for (const std::string& key : keys) {
    const bool same = before.contains(key) == now.contains(key) && (!before.contains(key) || before[key] == now[key]);
    if (!same) lines += fmt::format("\n  {}: {}, now {}", key, shown(before, key), shown(now, key));
  }
  return lines;
}

}  // namespace sdtorch
