// JSON as Python's json module writes it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace sdtorch {

/// The text of a value that parse_json reads as the same one: infinities as Infinity and -Infinity, where JSON itself
/// has none (diffusers' `lambda_min_clipped`). Strings that are no UTF-8 are mended. indent: spaces a level; -1: one
/// line.
std::string json_text(nlohmann::json value, int indent = -1);

}  // namespace sdtorch
