#include "sdtorch/cli/inspect.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "sdtorch/core/error.hpp"
#include "sdtorch/core/utf8.hpp"
#include "sdtorch/io/json.hpp"
#include "sdtorch/io/png_text.hpp"
#include "sdtorch/weights/hub_cache.hpp"
#include "sdtorch/weights/model_folder.hpp"

namespace sdtorch {
namespace {

using nlohmann::ordered_json;

constexpr const char* request_keyword = "sdtorch";

std::string line_of(const ordered_json& object) {
  return object.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string png_report(const InspectOptions& options) {
  const std::string path = options.path.string();
  const std::vector<PngText> texts = read_png_text(options.path);
  if (options.json) {
    ordered_json object = {{"path", path}, {"kind", "png"}, {"texts", ordered_json::object()}};
    for (const PngText& text : texts) {
      object["texts"][text.keyword] = text.text;
      if (text.keyword != request_keyword) continue;
      object["request"] = parse_json(text.text, path + ": " + request_keyword, ErrorKind::input);
    }
    return line_of(object);
  }
  if (texts.empty()) return fmt::format("{}: a PNG without text\n", path);
  std::string report;
  for (const PngText& text : texts) {
    std::string shown = text.text;
    if (text.keyword == request_keyword) {
      shown = parse_json(text.text, path + ": " + request_keyword, ErrorKind::input).dump(2);
    }
    report += fmt::format("{}{}:\n{}\n", report.empty() ? "" : "\n", harmless(text.keyword), harmless(shown));
  }
  return report;
}

struct Component {
  std::string class_name{};
  int64_t parameters = 0;
  std::set<std::string> types{};  ///< of the stored tensors
  int64_t bytes = 0;
};

Component read_component(const std::string& class_name, const std::filesystem::path& folder) {
  Component component{.class_name = class_name};
  for (const auto& [name, sourced] : load_component(folder)) {
    component.parameters += sourced.tensor.numel();
    component.bytes += static_cast<int64_t>(sourced.tensor.nbytes());
    component.types.insert(c10::toString(sourced.tensor.scalar_type()));
  }
  return component;
}

std::map<std::string, Component> read_components(const ModelFolder& folder) {
  std::map<std::string, Component> components;
  const nlohmann::json index = load_config(folder.root() / "model_index.json");
  for (const auto& [name, entry] : index.items()) {
    const bool named = entry.is_array() && entry.size() == 2 && entry[1].is_string();
    if (!named) continue;
    const auto class_name = entry[1].get<std::string>();
    const bool weighted = name == "unet" || name == "vae" || name.starts_with("text_encoder");
    components[name] =
        weighted ? read_component(class_name, folder.component(name)) : Component{.class_name = class_name};
  }
  return components;
}

std::string model_report(const InspectOptions& options) {
  const ModelFolder folder(options.path);
  const std::map<std::string, Component> components = read_components(folder);
  ordered_json object = {{"path", options.path.string()}, {"kind", "model"}, {"components", ordered_json::object()}};
  std::string table =
      fmt::format("{:<16} {:<26} {:>14} {:>9}  {}\n", "component", "class", "parameters", "MiB", "type");
  for (const auto& [name, component] : components) {
    ordered_json& entry = object["components"][name];
    entry["class"] = component.class_name;
    if (component.types.empty()) {
      table += fmt::format("{:<16} {}\n", harmless(name), harmless(component.class_name));
      continue;
    }
    entry["parameters"] = component.parameters;
    entry["types"] = component.types;
    entry["bytes"] = component.bytes;
    table += fmt::format("{:<16} {:<26} {:>14} {:>9.1f}  {}\n", harmless(name), harmless(component.class_name),
                         component.parameters, static_cast<double>(component.bytes) / (1 << 20),
                         fmt::join(component.types, ", "));
  }
  return options.json ? line_of(object) : table;
}

}  // namespace

std::string inspect_text(const InspectOptions& options) {
  std::error_code error;
  const bool named = !std::filesystem::exists(options.path, error) && is_hub_name(options.path.string());
  if (named || std::filesystem::is_directory(options.path, error)) return model_report(options);
  return png_report(options);
}

}  // namespace sdtorch
