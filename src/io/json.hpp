// JSON from files that may be broken or hostile.
#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/error.hpp"

namespace sdtorch {

struct JsonOptions {
  size_t max_bytes = size_t{64} << 20;  ///< longest text that is read; a CLIP tokenizer.json has 3.5 MB
  size_t max_depth = 64;                ///< deepest nesting of arrays and objects
  size_t first_line = 1;                ///< number of the text's first line, for messages (a line of a .jsonl file)
};

/// The file's one JSON value. Stricter than RFC 8259 in that a key may occur only once in an object; looser in that
/// Infinity and -Infinity are numbers, because Python's json module writes them (diffusers' `lambda_min_clipped`).
/// Throws `kind` as `FILE: line N, column M: reason`.
nlohmann::json read_json_file(const std::filesystem::path& file, ErrorKind kind, const JsonOptions& options = {});

/// The same for text that is already there; file is its name in messages.
nlohmann::json parse_json(std::string_view text, const std::string& file, ErrorKind kind,
                          const JsonOptions& options = {});

}  // namespace sdtorch
