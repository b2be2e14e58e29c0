// Settings in a `.yaml` or `.json` file beside a model file.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace sdtorch {

/// Scalars by their path, `model.params.parameterization` → `v`; the entries of lists go by `-`, the first counts.
struct Sidecar {
  std::filesystem::path file{};
  std::map<std::string, std::string> settings{};
  nlohmann::json document{};  ///< a JSON file as it is; null for YAML

  /// The value whose path is `name` or ends with `.name`, the first by path; nothing where there is none.
  std::optional<std::string> find(std::string_view name) const;
};

/// The file beside `model` with its name and the suffix .yaml, .yml or .json; nothing where there is none.
/// Throws ErrorKind::model naming file and line.
std::optional<Sidecar> find_sidecar(const std::filesystem::path& model);

}  // namespace sdtorch
