#include "tokenizer_json.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <fstream>
#include <system_error>

#include "sdtorch/core/error.hpp"

namespace sdtorch {
namespace {

nlohmann::json parse(const std::filesystem::path& file, const nlohmann::json::parser_callback_t& on_event) {
  const std::string text = read_tokenizer_text(file);
  try {
    return nlohmann::json::parse(text, on_event);
  } catch (const nlohmann::json::parse_error& error) {
    throw Error(ErrorKind::model,
                {.file = file, .place = fmt::format("offset {}", error.byte), .reason = "not valid JSON"});
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::model, {.file = file, .reason = fmt::format("not valid JSON: {}", error.what())});
  }
}

}  // namespace

std::string read_tokenizer_text(const std::filesystem::path& file) {
  constexpr uintmax_t largest = 256u << 20;  // a hundred times CLIP's own
  std::error_code failure;
  const auto status = std::filesystem::status(file, failure);
  if (!std::filesystem::exists(status)) throw Error(ErrorKind::model, {.file = file, .reason = "no such file"});
  if (!std::filesystem::is_regular_file(status))
    throw Error(ErrorKind::model, {.file = file, .reason = "not a regular file"});
  const auto size = std::filesystem::file_size(file, failure);
  if (failure) throw Error(ErrorKind::model, {.file = file, .reason = failure.message()});
  if (size > largest)
    throw Error(ErrorKind::model,
                {.file = file, .reason = fmt::format("{} bytes, too large for a tokenizer's file", size)});
  std::string text(static_cast<size_t>(size), '\0');
  std::ifstream stream(file, std::ios::binary);
  if (!stream || !stream.read(text.data(), static_cast<std::streamsize>(text.size())))
    throw Error(ErrorKind::model, {.file = file, .reason = "cannot be read"});
  return text;
}

JsonFile read_tokenizer_json(const std::filesystem::path& file) {
  JsonFile result{.file = file.string(), .root = parse(file, nullptr)};
  if (!result.root.is_object())
    throw Error(ErrorKind::model,
                {.file = result.file, .reason = fmt::format("expected an object, found {}", brief(result.root))});
  return result;
}

std::vector<std::string> keys_in_file_order(const std::filesystem::path& file) {
  std::vector<std::string> keys;
  parse(file, [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& value) {
    if (depth == 1 && event == nlohmann::json::parse_event_t::key) keys.push_back(value.get<std::string>());
    return true;
  });
  return keys;
}

const nlohmann::json& JsonFile::value(const std::string& key) const {
  static const nlohmann::json null;
  const auto found = root.find(key);
  return found == root.end() ? null : *found;
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
