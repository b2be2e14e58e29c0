// `sdtorch inspect`: what a picture says of itself, what a model folder holds.
#pragma once

#include <filesystem>
#include <string>

namespace sdtorch {

struct InspectOptions {
  std::filesystem::path path{};  ///< a PNG or a model folder
  bool json = false;             ///< one JSON object on a line instead of a table
};

/// The report, ended by a line break.
/// A PNG's text chunks, each under its keyword (as JSON: `{"path", "kind": "png", "texts": {…}}`, the `sdtorch` chunk
/// under `request` too), or a model's components with their class, parameters and stored types (`"kind": "model"`).
/// Throws ErrorKind::input for a PNG that is damaged or a path that is neither, ErrorKind::model for a folder that is
/// no model.
std::string inspect_text(const InspectOptions& options);

}  // namespace sdtorch
