// `sdtorch inspect`: what a picture says of itself, what a model is and holds.
#pragma once

#include <filesystem>
#include <string>

namespace sdtorch {

struct InspectOptions {
  std::filesystem::path path{};  ///< a PNG, a model folder or a weights file
  bool json = false;             ///< one JSON object on a line instead of a table
};

/// The report, ended by a line break.
/// A PNG's text chunks, each under its keyword (as JSON: `{"path", "kind": "png", "texts": {…}}`, the `sdtorch` chunk
/// under `request` too), or what a model is, why, and of what it is made (inspect_model.hpp).
/// Throws ErrorKind::input for a PNG that is damaged, ErrorKind::model for a folder or a file that is no model.
std::string inspect_text(const InspectOptions& options);

}  // namespace sdtorch
