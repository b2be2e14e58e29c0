#include "weights/sidecar.hpp"

#include <fmt/format.h>

#include <system_error>

#include "core/error.hpp"
#include "io/json.hpp"
#include "io/mapped_file.hpp"
#include "io/yaml.hpp"

namespace sdtorch {
namespace {

constexpr size_t most_bytes = size_t{1} << 20;
void flatten(const nlohmann::json& value, const std::string& path, std::map<std::string, std::string>& scalars) {
  if (value.is_object()) {
    const std::string start = path.empty() ? "" : path + ".";
    for (const auto& [key, item] : value.items()) flatten(item, start + key, scalars);
  } else if (value.is_string()) {
    scalars.emplace(path, value.get<std::string>());
  } else if (!value.is_array() && !value.is_null()) {
    scalars.emplace(path, value.dump());
  }
}

}  // namespace

std::optional<std::string> Sidecar::find(std::string_view name) const {
  for (const auto& [path, value] : settings) {
    const bool ends = path.ends_with(name) && path.size() > name.size() && path[path.size() - name.size() - 1] == '.';
    if (path == name || ends) return value;
  }
  return std::nullopt;
}

std::optional<Sidecar> find_sidecar(const std::filesystem::path& model) {
  for (const char* suffix : {".yaml", ".yml", ".json"}) {
    std::filesystem::path file = model;
    file.replace_extension(suffix);
    std::error_code ignored;
    if (file == model || !std::filesystem::is_regular_file(file, ignored)) continue;
    Sidecar sidecar{.file = file};
    if (suffix == std::string_view(".json")) {
      sidecar.document = read_json_file(file, ErrorKind::model, {.max_bytes = most_bytes});
      flatten(sidecar.document, {}, sidecar.settings);
      return sidecar;
    }
    const MappedFile mapped(file, ErrorKind::model);
    if (mapped.bytes().size() > most_bytes) {
      throw Error(ErrorKind::model,
                  {.file = file.string(), .reason = fmt::format("is longer than {} bytes", most_bytes)});
    }
    sidecar.settings =
        read_yaml_scalars({reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size()}, file.string());
    return sidecar;
  }
  return std::nullopt;
}

}  // namespace sdtorch
