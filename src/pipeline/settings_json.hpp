// Settings as JSON: the `sdtorch` chunk of a picture, a line of a .jsonl prompt file.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "pipeline/settings.hpp"

namespace sdtorch {

/// Where JSON was read, for messages.
struct JsonSource {
  std::string file{};
  std::string place{};  ///< "line 7"; may be empty
};

/// All fields under their flags' long names, without those that leave a choice to the model.
nlohmann::ordered_json settings_to_json(const Settings& settings);

/// `base` with the fields that `object` names. Keys are the flags' long names; numbers, texts and booleans are
/// JSON's own, and a seed may be -1. Throws ErrorKind::input as `FILE: PLACE: KEY: reason`: an unknown key with the
/// nearest, a wrong type, a value that the flag would not take. The result is validated.
Settings settings_from_json(const nlohmann::json& object, const Settings& base, const JsonSource& source);

}  // namespace sdtorch
