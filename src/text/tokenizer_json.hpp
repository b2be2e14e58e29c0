// JSON of tokenizer files, with file and place in each message.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace sdtorch {

/// A JSON object and the file that holds it.
struct JsonFile {
  std::string file{};
  nlohmann::json root = nlohmann::json::object();

  /// The value under a key, or null.
  const nlohmann::json& value(const std::string& key) const;
};

/// Throws ErrorKind::model where the file is not JSON or not an object.
JsonFile read_tokenizer_json(const std::filesystem::path& file);

/// The keys of a file's object in the file's order, which nlohmann::json does not keep. json: read from that file.
std::vector<std::string> keys_in_file_order(const JsonFile& json);

/// Throws ErrorKind::model: `what` was expected at `place`, and what stands there.
[[noreturn]] void fail_expected(const std::string& file, const std::string& place, const std::string& what,
                                const nlohmann::json& found);

/// A JSON value for a message, at most a line long.
std::string brief(const nlohmann::json& value);

}  // namespace sdtorch
