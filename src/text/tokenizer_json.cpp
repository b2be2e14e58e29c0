#include "text/tokenizer_json.hpp"

#include <fmt/format.h>

#include <set>

#include "core/error.hpp"
#include "io/json.hpp"
#include "io/mapped_file.hpp"

namespace sdtorch {

const nlohmann::json& JsonFile::value(const std::string& key) const {
  static const nlohmann::json null;
  const auto found = root.find(key);
  return found == root.end() ? null : *found;
}

JsonFile read_tokenizer_json(const std::filesystem::path& file) {
  JsonFile json{.file = file.string(), .root = read_json_file(file, ErrorKind::model)};
  if (!json.root.is_object())
    throw Error(ErrorKind::model,
                {.file = json.file, .reason = fmt::format("expected an object, found {}", brief(json.root))});
  return json;
}

std::vector<std::string> keys_in_file_order(const JsonFile& json) {
  using Event = nlohmann::json::parse_event_t;
  std::vector<std::string> keys;
  const auto note_key = [&](int depth, Event event, nlohmann::json& value) {
    if (depth == 1 && event == Event::key) keys.push_back(value.get<std::string>());
    return true;
  };
  const MappedFile mapped(json.file, ErrorKind::model);
  const auto* text = reinterpret_cast<const char*>(mapped.bytes().data());
  constexpr bool throwing = false;  // an Infinity, which Python writes, ends this parser's reading
  [[maybe_unused]] const auto parsed = nlohmann::json::parse(text, text + mapped.bytes().size(), note_key, throwing);
  if (keys.size() == json.root.size()) return keys;
  const std::set<std::string> noted(keys.begin(), keys.end());
  for (const auto& [key, value] : json.root.items())
    if (!noted.contains(key)) keys.push_back(key);
  return keys;
}

std::string brief(const nlohmann::json& value) {
  constexpr size_t longest = 60;
  if (value.is_object()) return fmt::format("an object of {} keys", value.size());
  if (value.is_array()) return fmt::format("an array of {} values", value.size());
  std::string text = value.dump(-1, ' ', true);
  if (text.size() > longest) text = text.substr(0, longest) + "…";
  return text;
}

void fail_expected(const std::string& file, const std::string& place, const std::string& what,
                   const nlohmann::json& found) {
  throw Error(ErrorKind::model,
              {.file = file, .place = place, .reason = fmt::format("expected {}, found {}", what, brief(found))});
}

}  // namespace sdtorch
